import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { GodwitError } from "../base/errors.ts";

const qemuBuildSchema = z.object({ binary: z.string(), img: z.string(), version: z.string() });
const guestImageSchema = z.object({
  kernel: z.string(),
  initrd: z.string(),
  load: z.string(),
  kernelRelease: z.string(),
});
const manifestSchema = z.object({
  qemu: z.object({ "10.0": qemuBuildSchema.optional(), "7.2": qemuBuildSchema.optional() }),
  guest: guestImageSchema.nullable(),
  /** Debian's full kernel, with drivers for the hardware that QEMU imitates. */
  metalGuest: guestImageSchema.nullable().default(null),
});

/** The QEMU versions that set-up knows; Debian 13 has no 7.2. */
export type QemuVersion = keyof Toolchain["qemu"];

/** One QEMU: absolute paths of its programs, and its exact version, such as "10.0.2". */
export type QemuBuild = z.infer<typeof qemuBuildSchema>;

/** The guest's kernel and initrd, and its load generator as a program that also runs on this host. */
export type GuestImage = z.infer<typeof guestImageSchema>;

/** What set-up has put under `build/`. `guest` is null where there was no C compiler to build it. */
export type Toolchain = z.infer<typeof manifestSchema>;

/**
 * Kernel parameters of the lab's guests. Without the self-tests of the kernel's ciphers an emulated guest is up after
 * seven seconds of a processor in place of nine, and without guards against speculation, which emulation doesn't do, it
 * executes a fifth less for each of the client's datagrams.
 */
export const GUEST_KERNEL_PARAMETERS =
  "console=ttyS0 quiet panic=-1 cryptomgr.notests initcall_blacklist=crypto_kdf108_init mitigations=off";

const manifestPath = join(import.meta.dirname, "../../build/manifest.json");

/**
 * Reads what `scripts/setup` made.
 *
 * @throws GodwitError `GODWIT_SETUP_MISSING` when set-up hasn't run, or its result is damaged or half removed.
 */
export function toolchain(path: string = manifestPath): Toolchain {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw setupMissing(`there is no ${path}`, cause);
  }
  const manifest = parseManifest(text, path);
  const files = [...Object.values(manifest.qemu), manifest.guest, manifest.metalGuest].flatMap((entry) =>
    filesOf(entry),
  );
  const missing = files.find((file) => !existsSync(file));
  if (missing !== undefined) throw setupMissing(`${missing} is missing`);
  return manifest;
}

/** One QEMU. @throws GodwitError `GODWIT_SETUP_MISSING` where this host doesn't have that version. */
export function qemuBuild(version: QemuVersion, tools: Toolchain = toolchain()): QemuBuild {
  const build = tools.qemu[version];
  if (build === undefined) throw setupMissing(`QEMU ${version} is not available on this system`);
  return build;
}

/** The QEMU versions at hand, newest first. */
export function qemuVersions(tools: Toolchain = toolchain()): QemuVersion[] {
  return (["10.0", "7.2"] as const).filter((version) => tools.qemu[version] !== undefined);
}

/** The guest image. @throws GodwitError `GODWIT_SETUP_MISSING` when it couldn't be built. */
export function guestImage(tools: Toolchain = toolchain()): GuestImage {
  if (tools.guest === null) throw setupMissing("the guest image was not built: there was no C compiler");
  return tools.guest;
}

/** The image for the lab's physical machines. @throws GodwitError `GODWIT_SETUP_MISSING` when it couldn't be built. */
export function metalGuestImage(tools: Toolchain = toolchain()): GuestImage {
  if (tools.metalGuest === null) throw setupMissing("the physical machines' guest image was not built");
  return tools.metalGuest;
}

function parseManifest(text: string, path: string): Toolchain {
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw setupMissing(`${path} is damaged`, cause);
  }
}

function filesOf(entry: QemuBuild | GuestImage | undefined | null): string[] {
  if (entry === undefined || entry === null) return [];
  return "binary" in entry ? [entry.binary, entry.img] : [entry.kernel, entry.initrd, entry.load];
}

function setupMissing(what: string, cause?: unknown): GodwitError {
  return new GodwitError("GODWIT_SETUP_MISSING", `set-up is not complete: ${what}`, {
    side: "local",
    advice: "run npm run setup",
    cause,
  });
}
