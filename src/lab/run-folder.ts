import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killMachine } from "../qemu/index.ts";

const PREFIX = "godwit-lab-";

/**
 * The folder of one run: agents' state, QEMU's sockets and logs, certificates. Its path is short, for a unix
 * socket's path can have 107 bytes. It goes with the run, or at the latest with this process.
 */
export class RunFolder implements Disposable {
  readonly path: string;
  readonly #remove: () => void;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    this.#remove = () => rmSync(this.path, { recursive: true, force: true });
    process.once("exit", this.#remove);
  }

  /** A path inside. */
  inside(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  [Symbol.dispose](): void {
    this.#remove();
    process.off("exit", this.#remove);
  }
}

/** Ends QEMUs that run in a folder of machines' state folders, each `<folder>/<machine>`; ours, all of them. */
export async function endMachinesIn(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.name !== "process.json") continue;
    await killMachine(entry.parentPath);
  }
}

/** Removes the folders of runs whose process is gone, and ends QEMUs that they left. */
export async function sweepStaleFolders(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? /^\d+/.exec(name.slice(PREFIX.length))?.[0] : undefined;
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const path = join(tmpdir(), name);
    await endMachinesIn(path);
    rmSync(path, { recursive: true, force: true });
  }
}
