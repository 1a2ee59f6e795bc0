import { isAbsolute } from "node:path";
import type { z } from "zod";
import { parseBytes } from "../base/units.ts";
import { extraArgumentProblem } from "./extra-arguments.ts";
import type { memoryBackendSchema, nicShape } from "./machine-parts.ts";

/** Reads an amount of memory inside a schema. */
export function toBytes(text: string, context: z.RefinementCtx): number {
  try {
    return parseBytes(text);
  } catch {
    context.addIssue({ code: "custom", message: "not an amount; write for example 512MiB" });
    return Number.NaN;
  }
}

/** Refuses an extra argument that Godwit sets itself. */
export function refuseOwnOption(argument: string, context: z.RefinementCtx): void {
  const problem = extraArgumentProblem(argument);
  if (problem !== null) context.addIssue({ code: "custom", message: problem });
}

interface MachinePaths {
  readonly kernel?: string | undefined;
  readonly initrd?: string | undefined;
  readonly disks: readonly { readonly path: string }[];
  readonly memoryBackend: z.infer<typeof memoryBackendSchema>;
}

/** The huge page of x86 that hosts have in numbers; those of 1 GiB can't be moved as a whole while a guest waits. */
export const HUGE_PAGE_BYTES = 2 * 1024 ** 2;

/** Whether a machine's memory is made of huge pages of its host. */
export function hasHugePages({ memoryBackend }: Pick<MachinePaths, "memoryBackend">): boolean {
  return memoryBackend.kind === "memfd" && memoryBackend.hugePages;
}

interface Contradictory {
  readonly memory?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly memoryBackend: z.infer<typeof memoryBackendSchema>;
  readonly kernel?: string | undefined;
  readonly initrd?: string | undefined;
  readonly append?: string | undefined;
  readonly disks: readonly { readonly id?: string | undefined; readonly serial?: string | undefined }[];
  readonly nics: readonly {
    readonly mac?: string | undefined;
    readonly backend: z.infer<typeof nicShape.backend>;
  }[];
  readonly channels: readonly { readonly name: string }[];
  readonly freePages: string;
  readonly doorbell: boolean;
}

/** Refuses what is wrong only together: things that need each other, and names given twice. */
export function refuseContradictions(machine: Contradictory, context: z.RefinementCtx): void {
  const refuse = (at: (string | number)[], message: string) => {
    context.addIssue({ code: "custom", path: at, message });
  };
  if (machine.kernel === undefined) {
    if (machine.initrd !== undefined) refuse(["initrd"], "needs a kernel");
    if (machine.append !== undefined) refuse(["append"], "needs a kernel");
  }
  const bytes = machine.memoryBytes ?? machine.memory ?? 0;
  if (hasHugePages(machine) && bytes % HUGE_PAGE_BYTES !== 0) {
    refuse(
      [machine.memoryBytes === undefined ? "memory" : "memoryBytes"],
      "huge pages make up multiples of 2 MiB",
    );
  }
  if (machine.freePages === "held-locks" && !machine.doorbell) refuse(["freePages"], "needs doorbell: true");
  const unique = (list: string, key: string, values: readonly (string | undefined)[]) => {
    values.forEach((value, index) => {
      const first = values.indexOf(value);
      if (value !== undefined && first < index)
        refuse([list, index, key], `the same as ${list}.${first}.${key}`);
    });
  };
  unique("disks", "id", machine.disks.map(diskId));
  unique(
    "disks",
    "serial",
    machine.disks.map((disk) => disk.serial),
  );
  unique(
    "nics",
    "mac",
    machine.nics.map((nic) => nic.mac),
  );
  unique(
    "nics",
    "backend",
    machine.nics.map(({ backend }) => (backend.kind === "tap" ? backend.interface : undefined)),
  );
  unique(
    "channels",
    "name",
    machine.channels.map((channel) => channel.name),
  );
}

/** Refuses paths that would mean something else on another host. */
export function refuseRelativePaths(machine: MachinePaths, context: z.RefinementCtx): void {
  const { kernel, initrd, disks, memoryBackend } = machine;
  const directory = memoryBackend.kind === "file" ? memoryBackend.directory : undefined;
  for (const path of [kernel, initrd, directory, ...disks.map((disk) => disk.path)]) {
    if (path === undefined || isAbsolute(path)) continue;
    context.addIssue({ code: "custom", message: `the path ${path} is not absolute` });
  }
}

/** The name of a disk in QEMU: its `id`, or `disk` and its number. */
export function diskId(disk: { readonly id?: string | undefined }, index: number): string {
  return disk.id ?? `disk${index}`;
}
