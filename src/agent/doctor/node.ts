import { type Check, finding } from "./check.ts";

/** Types are stripped by Node itself, and `using` and the zstd of zlib are there from this version on. */
const NEEDED_MAJOR = 24;

/** The version of Node. */
export const nodeCheck: Check = {
  name: "Node",
  run() {
    const major = Number(process.versions.node.split(".")[0]);
    if (major >= NEEDED_MAJOR) return [finding("Node", "ok", process.version)];
    const advice = "run godwit by bin/godwit, which uses the Node of its packages";
    return [finding("Node", "fail", `${process.version} is too old, ${NEEDED_MAJOR} is needed`, advice)];
  },
};
