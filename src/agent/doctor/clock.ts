import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type Check, finding } from "./check.ts";

const run = promisify(execFile);

/** Whether something keeps the clock right: certificates and the downtime in reports rest on it. */
export const clockCheck: Check = {
  name: "clock",
  async run() {
    const advice =
      "run chrony or systemd-timesyncd: certificates and the downtime in reports rest on the clocks";
    try {
      const { stdout } = await run("timedatectl", ["show", "--property=NTPSynchronized", "--value"], {
        timeout: 3000,
      });
      if (stdout.trim() === "yes") return [finding("clock", "ok", "synchronised")];
      return [finding("clock", "warn", "not synchronised", advice)];
    } catch {
      return [finding("clock", "warn", "can't tell whether it is synchronised", advice)];
    }
  },
};
