import { asGodwitError } from "../../base/errors.ts";
import { binaryVersion, formatVersion } from "../../qemu/version.ts";
import { type Check, finding } from "./check.ts";

/** From here on a paused destination holds no image lock and the dirty sync under TCG is sound. */
const GOOD_MAJOR = 9;
/** The oldest that is tested. */
const OLDEST = { major: 7, minor: 2 };

/** The QEMU that VMs are started with, and what its version means for migrations. */
export const qemuCheck: Check = {
  name: "QEMU",
  async run({ qemu }) {
    try {
      const version = await binaryVersion(qemu);
      const text = `${qemu} ${formatVersion(version)}`;
      if (version.major >= GOOD_MAJOR) return [finding("QEMU", "ok", text)];
      if (version.major < OLDEST.major || (version.major === OLDEST.major && version.minor < OLDEST.minor)) {
        return [finding("QEMU", "fail", `${text} is older than 7.2 and not tested`, "install QEMU 10")];
      }
      const trap =
        "under TCG it loses dirty pages of guests whose memory is a multiple of 256 KiB; " +
        "take a size that is none (262152KiB instead of 256MiB), or QEMU 10";
      return [
        finding("QEMU", "ok", text),
        finding("QEMU dirty pages", "warn", "this version has a defect under TCG", trap),
      ];
    } catch (thrown) {
      const error = asGodwitError(thrown, "GODWIT_QEMU_MISSING");
      return [finding("QEMU", "fail", error.message, error.advice ?? "install qemu-system-x86")];
    }
  },
};
