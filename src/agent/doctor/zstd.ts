import { directZstd } from "../../wire/bulk/zstd.ts";
import { type Check, finding } from "./check.ts";

/** By which way pages are compressed: both make the same frames, one with more processor time. */
export const zstdCheck: Check = {
  name: "zstd",
  run() {
    if (directZstd({}, 1) !== null) return [finding("zstd", "ok", "called directly in Node's own libzstd")];
    const message = "called through node:zlib, which costs more processor time";
    const advice = "install the packages again, so that koffi comes with its binary for this system: npm ci";
    return [finding("zstd", "warn", message, advice)];
  },
};
