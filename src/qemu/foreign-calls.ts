import { GodwitError } from "../base/errors.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const CLOSE_ON_EXEC = 0o2000000;
const NON_BLOCKING = 0o4000;
const MFD_CLOEXEC = 1;
const MSG_NOSIGNAL = 0x4000;
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const POLLIN = 1;

/** System calls that Node has no door to. Descriptors are plain numbers, which whoever got them closes. */
export interface ForeignCalls {
  /** An event counter: not blocking, for this process only. */
  makeEvent(): number;
  /** An anonymous file in memory; `/proc/PID/fd` shows the name. */
  makeMemoryFile(name: string): number;
  makeSocketPair(): readonly [number, number];
  /** Writes bytes with a descriptor beside them. */
  send(socket: number, bytes: Uint8Array, descriptor: number | null): void;
  /** A copy of another process's descriptor; needs the same rights as reading that process's memory. */
  takeDescriptor(pid: number, descriptor: number): number;
  /** Closes what one of these calls gave: Node keeps account of its own descriptors in threads. */
  close(descriptor: number): void;
  /** Whether there is something to read within that time. A thread waits, not the event loop. */
  waitReadable(descriptor: number, timeoutMs: number): Promise<boolean>;
}

let loaded: Promise<ForeignCalls> | null = null;

/**
 * Loads koffi when it is needed for the first time.
 * @throws GodwitError `GODWIT_DOORBELL` where it isn't installed or doesn't work here; the calls throw the same
 */
export function foreignCalls(): Promise<ForeignCalls> {
  loaded ??= load().catch((error: Error) => {
    loaded = null;
    throw new GodwitError("GODWIT_DOORBELL", `koffi can't be loaded: ${error.message.split("\n")[0]}`, {
      advice: "run npm ci, or do without the doorbell device and --free-pages held-locks",
      cause: error,
    });
  });
  return loaded;
}

async function load(): Promise<ForeignCalls> {
  const koffi = await import("koffi");
  const libc = koffi.load("libc.so.6");
  const vector = koffi.struct({ base: "const uint8_t *", length: "size_t" });
  const message = koffi.struct({
    name: "const void *",
    nameLength: "uint32_t",
    vectors: koffi.pointer(vector),
    vectorCount: "size_t",
    control: "const uint8_t *",
    controlLength: "size_t",
    flags: "int",
  });
  const eventfd = libc.func("eventfd", "int", ["unsigned int", "int"]);
  const memfdCreate = libc.func("memfd_create", "int", ["const char *", "unsigned int"]);
  const socketpair = libc.func("socketpair", "int", ["int", "int", "int", koffi.out("int *")]);
  const sendmsg = libc.func("sendmsg", "long", ["int", koffi.pointer(message), "int"]);
  const syscall = libc.func("syscall", "long", ["long", "long", "long", "long"]);
  const close = libc.func("close", "int", ["int"]);
  const poll = libc.func("poll", "int", ["const uint8_t *", "unsigned long", "int"]);

  const checked = (call: string, result: number): number => {
    if (result >= 0) return result;
    throw new GodwitError("GODWIT_DOORBELL", `${call} failed with errno ${koffi.errno()}`);
  };
  return {
    makeEvent: () => checked("eventfd", eventfd(0, CLOSE_ON_EXEC | NON_BLOCKING)),
    makeMemoryFile: (name) => checked("memfd_create", memfdCreate(name, MFD_CLOEXEC)),
    makeSocketPair() {
      const pair = new Int32Array(2);
      checked("socketpair", socketpair(AF_UNIX, SOCK_STREAM | CLOSE_ON_EXEC, 0, pair));
      return [pair[0]!, pair[1]!];
    },
    send(socket, bytes, descriptor) {
      const control = descriptor === null ? null : rightsOf(descriptor);
      const sent = sendmsg(
        socket,
        {
          ...{ name: null, nameLength: 0, vectors: [{ base: bytes, length: bytes.length }], vectorCount: 1 },
          ...{ control, controlLength: control?.length ?? 0, flags: 0 },
        },
        MSG_NOSIGNAL,
      );
      checked("sendmsg", sent);
    },
    takeDescriptor(pid, descriptor) {
      const process = checked("pidfd_open", syscall(SYS_PIDFD_OPEN, pid, 0, 0));
      try {
        return checked("pidfd_getfd", syscall(SYS_PIDFD_GETFD, process, descriptor, 0));
      } finally {
        close(process);
      }
    },
    close: (descriptor) => void close(descriptor),
    waitReadable(descriptor, timeoutMs) {
      const waited = Buffer.alloc(8);
      waited.writeInt32LE(descriptor, 0);
      waited.writeInt16LE(POLLIN, 4);
      return new Promise((resolve, reject) => {
        poll.async(waited, 1, Math.ceil(timeoutMs), (error: Error | null, count: number) => {
          if (error === null) resolve(count > 0);
          else reject(error);
        });
      });
    },
  };
}

/** A control message: length, level, type, and the descriptor, padded to eight bytes. */
function rightsOf(descriptor: number): Buffer {
  const control = Buffer.alloc(24);
  control.writeBigUInt64LE(20n, 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(descriptor, 16);
  return control;
}
