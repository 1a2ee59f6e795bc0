import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { type ErrorCode, GodwitError } from "../base/errors.ts";

/** QEMU's last words fit many times over. */
const TAIL_BYTES = 8192;
const SHOWN_LINES = 8;

interface KnownFailure {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly advice: string;
}

const KNOWN_FAILURES: readonly KnownFailure[] = [
  {
    pattern: /Failed to get (shared )?"[\w ]+" lock|Is another process using the image/,
    code: "GODWIT_IMAGE_LOCKED",
    advice: "another QEMU uses a disk of this machine: end that one first",
  },
  {
    pattern: /Address already in use|Could not set up host forwarding rule/,
    code: "GODWIT_PORT_TAKEN",
    advice: "another program holds a port that this machine is to listen on",
  },
  {
    pattern: /No space left on device/,
    code: "GODWIT_NO_SPACE",
    advice: "make room in the state folder or in the memory backend's directory",
  },
  {
    pattern: /Cannot allocate memory|cannot set up guest memory/,
    code: "GODWIT_NO_MEMORY",
    advice: "this host cannot give that much memory: reduce the machine's, or end others",
  },
  {
    pattern: /KVM kernel module|failed to initialize kvm|invalid accelerator kvm/,
    code: "GODWIT_NO_KVM",
    advice: "use accelerator: tcg, or allow this user to open /dev/kvm",
  },
  {
    pattern: /could not (configure|open) \/dev\/net\/tun/,
    code: "GODWIT_TAP",
    advice: "create the tap interface for this user first, or run as root",
  },
  {
    pattern: /cannot (create|lock) PID file/,
    code: "GODWIT_MACHINE_RUNNING",
    advice: "a QEMU already runs in this state folder",
  },
];

/** The error of a QEMU that ended before it answered, from what it wrote to its log. */
export function startFailure(name: string, how: string, logPath: string, logStart: number): GodwitError {
  const words = logTail(logPath, logStart);
  const known = KNOWN_FAILURES.find(({ pattern }) => pattern.test(words));
  const said = words === "" ? "it wrote nothing" : `its last lines:\n${words}`;
  return new GodwitError(known?.code ?? "GODWIT_QEMU_START", `QEMU of "${name}" ${how}; ${said}`, {
    vmState: "not started",
    advice: known?.advice ?? `see ${logPath}`,
  });
}

/** The last lines of a log from byte `start` on; empty where it can't be read. */
export function logTail(logPath: string, start = 0): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(logPath, "r");
    const { size } = fstatSync(descriptor);
    const from = Math.max(start, size - TAIL_BYTES);
    const bytes = Buffer.alloc(Math.max(0, size - from));
    const length = readSync(descriptor, bytes, 0, bytes.length, from);
    return bytes.toString("utf8", 0, length).trimEnd().split("\n").slice(-SHOWN_LINES).join("\n");
  } catch {
    return "";
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
