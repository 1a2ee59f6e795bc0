import { readFileSync } from "node:fs";
import { asGodwitError } from "../../base/errors.ts";
import { binaryVersion, formatVersion, type QemuVersion } from "../../qemu/version.ts";
import type { Finding } from "../schemas.ts";
import { type Check, finding } from "./check.ts";

/** From here on a paused destination holds no image lock and the dirty sync under TCG is sound. */
const GOOD_MAJOR = 9;
/** The oldest that is tested. */
const OLDEST = { major: 7, minor: 2 };

/** The QEMU that VMs are started with, those that set-up brought, and what their versions mean for migrations. */
export const qemuCheck: Check = {
  name: "QEMU",
  async run({ qemu }) {
    const others = setUpBinaries().filter((binary) => binary !== qemu);
    const found = (await Promise.all(others.map((binary) => examine(binary)))).flat();
    try {
      return [...judge(qemu, await binaryVersion(qemu)), ...found];
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_QEMU_MISSING");
      const [usable] = others;
      const advice =
        usable === undefined ? (error.advice ?? "install qemu-system-x86") : `use --qemu ${usable}`;
      return [finding("QEMU", "fail", error.message, advice), ...found];
    }
  },
};

async function examine(binary: string): Promise<Finding[]> {
  try {
    return judge(binary, await binaryVersion(binary));
  } catch {
    return [finding("QEMU", "warn", `${binary} does not run`, "run scripts/setup again")];
  }
}

function judge(binary: string, version: QemuVersion): Finding[] {
  const text = `${binary} ${formatVersion(version)}`;
  if (version.major >= GOOD_MAJOR) return [finding("QEMU", "ok", text)];
  if (version.major < OLDEST.major || (version.major === OLDEST.major && version.minor < OLDEST.minor)) {
    return [finding("QEMU", "fail", `${text} is older than 7.2 and not tested`, "install QEMU 10")];
  }
  const trap =
    "take a memory size that is no multiple of 256 KiB (262152KiB instead of 256MiB), or QEMU 10: under TCG this " +
    "version loses dirty pages of all others";
  return [
    finding("QEMU", "ok", text),
    finding("dirty pages", "warn", `${formatVersion(version)} has a defect under TCG`, trap),
  ];
}

/** The binaries that `scripts/setup` put under `build/`, where it ran. */
function setUpBinaries(): string[] {
  try {
    const text = readFileSync(new URL("../../../build/manifest.json", import.meta.url), "utf8");
    const { qemu } = JSON.parse(text) as { qemu: Record<string, { binary: string }> };
    return Object.values(qemu).map(({ binary }) => binary);
  } catch {
    return [];
  }
}
