import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { asGodwitError, GodwitError } from "../base/errors.ts";
import { derivedMacAddress, type Machine, machineFileSchema } from "./machine.ts";

/** A machine file has a few dozen lines; this bounds what foreign text can cost. */
const LIMIT_BYTES = 256 * 1024;
/** Text that is no YAML at all can have a fault per character; nobody reads more than these. */
const SHOWN_PROBLEMS = 20;
/** How much of a wrong value a message shows. */
const SHOWN_CHARACTERS = 60;

/** One thing that is wrong in a machine file. */
export interface MachineFileProblem {
  /** Where in the document: `nics.0.mac`; empty for the whole. */
  readonly path: string;
  /** Line number from 1. */
  readonly line: number;
  readonly message: string;
}

/** A machine file that can't be used, with everything that is wrong in it. Code `GODWIT_MACHINE_FILE`. */
export class MachineFileError extends GodwitError {
  readonly problems: readonly MachineFileProblem[];

  constructor(fileName: string, all: readonly MachineFileProblem[]) {
    const problems = all.toSorted((one, other) => one.line - other.line).slice(0, SHOWN_PROBLEMS);
    const lines = problems.map(({ line, path, message }) => {
      return `  line ${line}${path === "" ? "" : `, ${path}`}: ${message}`;
    });
    super("GODWIT_MACHINE_FILE", [`${fileName} is not a valid machine file:`, ...lines].join("\n"), {
      advice: "docs/machine-file.md describes every key",
    });
    this.problems = problems;
  }
}

/** Where a machine file's text comes from. */
export interface MachineFileOrigin {
  /** What messages call it; default "machine file". */
  readonly fileName?: string;
  /** What its relative paths are relative to; default the working directory. */
  readonly baseFolder?: string;
}

/**
 * Reads a machine file (docs/machine-file.md) from disk; relative paths in it are relative to the file.
 * @throws GodwitError `GODWIT_MACHINE_FILE`
 */
export function readMachineFile(path: string): Machine {
  let text: string;
  try {
    if (statSync(path).size > LIMIT_BYTES) throw tooLong(path);
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw asGodwitError(error, "GODWIT_MACHINE_FILE");
  }
  return parseMachineFile(text, { fileName: path, baseFolder: dirname(resolve(path)) });
}

/**
 * Reads the text of a machine file into a complete machine: defaults filled in, paths absolute.
 * @throws MachineFileError `GODWIT_MACHINE_FILE` with every problem found
 */
export function parseMachineFile(text: string, origin: MachineFileOrigin = {}): Machine {
  const { fileName = "machine file", baseFolder = process.cwd() } = origin;
  if (text.length > LIMIT_BYTES) throw tooLong(fileName);
  const lineCounter = new LineCounter();
  const { document, value } = readYaml(text, fileName, lineCounter);
  const located = (path: readonly PropertyKey[], message: string): MachineFileProblem => ({
    path: path.map(String).join("."),
    line: lineCounter.linePos(offsetOf(document, path)).line || 1,
    message,
  });
  const problemOf = (issue: z.core.$ZodIssue): MachineFileProblem => {
    if (issue.code === "unrecognized_keys") {
      return located([...issue.path, issue.keys[0] ?? ""], issue.message);
    }
    const allowed =
      issue.code === "invalid_type" ? issue.message.replace(/, received .*$/, "") : issue.message;
    return located(
      issue.path,
      `${shownValue(document, issue.path)}${allowed.replace(/^Invalid input: /, "")}`,
    );
  };

  const file = machineFileSchema.safeParse(value);
  if (!file.success) throw new MachineFileError(fileName, file.error.issues.map(problemOf));
  const { memory, hpet, nics, ...rest } = file.data;
  const complete: Machine = {
    ...rest,
    memoryBytes: memory,
    // Linux under TCG without it reads the slow ACPI timer; under KVM it has a better clock, and an HPET's counter
    // can wrap while a guest waits for a page, which then stalls it for seconds.
    hpet: hpet ?? rest.accelerator === "tcg",
    nics: nics.map((nic, index) => ({ ...nic, mac: nic.mac ?? derivedMacAddress(rest.name, index) })),
  };
  return withAbsolutePaths(complete, baseFolder);
}

function readYaml(
  text: string,
  fileName: string,
  lineCounter: LineCounter,
): { document: Document; value: unknown } {
  try {
    const document = parseDocument(text, { lineCounter, prettyErrors: false });
    const faults = [...document.errors, ...document.warnings];
    if (faults.length > 0) {
      const problems = faults.map(({ pos, message }) => {
        return { path: "", line: lineCounter.linePos(pos[0]).line || 1, message };
      });
      throw new MachineFileError(fileName, problems);
    }
    return { document, value: document.toJS() };
  } catch (error) {
    if (error instanceof MachineFileError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new MachineFileError(fileName, [{ path: "", line: 1, message }]);
  }
}

/** Where a path is in the text; the nearest parent that exists for one that is missing. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const key = path[length - 1];
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key);
      if (pair !== undefined && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
    }
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node)) return node.range?.[0] ?? 0;
  }
  return isNode(document.contents) ? (document.contents.range?.[0] ?? 0) : 0;
}

function shownValue(document: Document, path: readonly PropertyKey[]): string {
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  if (node === undefined) return "missing: ";
  const value: unknown = isNode(node) ? node.toJS(document) : node;
  const text = typeof value === "object" && value !== null ? "this" : JSON.stringify(value);
  return `${text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text}: `;
}

function withAbsolutePaths(machine: Machine, baseFolder: string): Machine {
  const absolute = (path: string) => resolve(baseFolder, path);
  const { kernel, initrd, memoryBackend } = machine;
  return {
    ...machine,
    ...(kernel === undefined ? {} : { kernel: absolute(kernel) }),
    ...(initrd === undefined ? {} : { initrd: absolute(initrd) }),
    disks: machine.disks.map((disk) => ({ ...disk, path: absolute(disk.path) })),
    memoryBackend:
      memoryBackend.kind === "file"
        ? { ...memoryBackend, directory: absolute(memoryBackend.directory) }
        : memoryBackend,
  };
}

function tooLong(fileName: string): MachineFileError {
  return new MachineFileError(fileName, [{ path: "", line: 1, message: `longer than ${LIMIT_BYTES} bytes` }]);
}
