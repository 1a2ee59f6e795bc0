import { type Check, finding } from "./check.ts";

/** What the VMs of the agent are warned of: sizes that lose dirty pages, disks that another host sees late … */
export const machinesCheck: Check = {
  name: "VMs",
  run: ({ machines }) =>
    machines.flatMap(({ name, warnings }) =>
      warnings.map((warning) => {
        const [message = "", ...advice] = warning.split(": ");
        return finding(`VM ${name}`, "warn", message, advice.join(": "));
      }),
    ),
};
