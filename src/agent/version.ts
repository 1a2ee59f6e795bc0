import { readFileSync } from "node:fs";

/** The version of this software, from its package. */
export const softwareVersion: string = (() => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
})();
