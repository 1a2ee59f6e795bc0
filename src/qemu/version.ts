import { execFile } from "node:child_process";
import { GodwitError } from "../base/errors.ts";
import type { WaitOptions } from "../base/waiting.ts";
import type { QmpClient } from "./qmp-client.ts";

/** A version of QEMU. */
export interface QemuVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

/** `qemu --version` only prints; a minute would mean that the file system hangs. */
const VERSION_TIMEOUT_MS = 10_000;
/** The output has two lines. */
const VERSION_OUTPUT_BYTES = 64 * 1024;

/**
 * Asks a QEMU binary for its version.
 * @throws GodwitError `GODWIT_QEMU_MISSING` when it can't be run, `GODWIT_QEMU_VERSION` when it isn't QEMU
 */
export function binaryVersion(binary: string, options: WaitOptions = {}): Promise<QemuVersion> {
  const { signal, timeoutMs = VERSION_TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    const limits = { timeout: timeoutMs, maxBuffer: VERSION_OUTPUT_BYTES, ...(signal ? { signal } : {}) };
    execFile(binary, ["--version"], limits, (error, output) => {
      const version = parseQemuVersion(output);
      if (version !== null && error === null) return resolve(version);
      if (error === null) {
        return reject(
          new GodwitError("GODWIT_QEMU_VERSION", `${binary} --version does not name a QEMU version`),
        );
      }
      if (signal?.aborted) return reject(new GodwitError("GODWIT_ABORTED", "aborted", { cause: error }));
      const advice = "install QEMU (npm run setup) or name its binary";
      reject(
        new GodwitError("GODWIT_QEMU_MISSING", `${binary} does not run: ${error.message}`, {
          advice,
          cause: error,
        }),
      );
    });
  });
}

/** The version of a running QEMU. */
export async function runningVersion(qmp: QmpClient, options: WaitOptions = {}): Promise<QemuVersion> {
  const { major, minor, micro } = (await qmp.execute("query-version", {}, options)).qemu;
  return { major, minor, micro };
}

/** Reads `QEMU emulator version 7.2.22 (Debian …)`; null where there is no such line. */
export function parseQemuVersion(text: string): QemuVersion | null {
  const match = /^QEMU emulator version (\d+)\.(\d+)(?:\.(\d+))?/m.exec(text);
  if (match === null) return null;
  return { major: Number(match[1]), minor: Number(match[2]), micro: Number(match[3] ?? 0) };
}

/** `7.2.22`. */
export function formatVersion({ major, minor, micro }: QemuVersion): string {
  return `${major}.${minor}.${micro}`;
}
