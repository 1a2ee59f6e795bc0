import { GodwitError } from "../base/errors.ts";
import { checkRuns, type Runs } from "../pages/index.ts";

/** The virtio-serial port on which a guest's helper answers; `guest/helper/README.md` has the protocol in words. */
export const HELPER_CHANNEL = "org.godwit.guest.0";

/** A helper names the versions that it speaks in its hello. Version 1 had no ranges of pages. */
export const HELPER_PROTOCOL_VERSION = 2;

/** "GWTG", little-endian: the beginning of each frame. */
export const FRAME_MAGIC = 0x47545747;

/** Bytes of a frame before its payload: magic, type, version, session, sequence, length. */
export const FRAME_HEAD_BYTES = 20;

/** What a helper may list at most: 8 MiB, the worst case of 8 GiB (every second page free). */
export const MOST_RUNS = 1 << 20;

/** The longest payload: that many runs, and the longest head of an answer with some room. */
export const MOST_PAYLOAD_BYTES = 8 * MOST_RUNS + 64;

const RUN_BYTES = 8;
const ANSWER = 0x8000;
const ERROR = 0xffff;

/** Requests by their number on the port. */
export const requestTypes = { hello: 1, freePages: 2, workingSet: 3, dropCache: 4, kernelPages: 5 } as const;

/** What can be asked for. */
export type RequestName = keyof typeof requestTypes;

/** Where a list of free pages may come from; see the helper's README. */
export const freePageSources = ["any", "driver", "kpageflags"] as const;

/** One frame as it came: a head that makes sense, its payload not looked at yet. */
export interface Frame {
  readonly type: number;
  readonly version: number;
  readonly session: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

/** Guest page numbers from `firstPage` up to, but not including, `endPage`. */
export interface PageRange {
  readonly firstPage: number;
  readonly endPage: number;
}

/** What a helper says of itself. */
export interface HelperHello {
  readonly canAskDriver: boolean;
  readonly canReadKpageflags: boolean;
  readonly canScanWorkingSet: boolean;
  readonly canDropCache: boolean;
  readonly canListKernelPages: boolean;
  /** Runs that it lists at most. */
  readonly mostRuns: number;
}

/** What to list of a guest's free pages. */
export interface FreePagesRequest {
  readonly source: (typeof freePageSources)[number];
  /** Blocks of fewer than 2^order pages are left out. */
  readonly minimumOrder: number;
  /** Also what each processor keeps at hand. */
  readonly perCpu: boolean;
  readonly mostRuns: number;
}

/** A list of free guest pages. */
export interface FreePagesAnswer {
  readonly source: "driver" | "kpageflags" | "held-locks";
  /** Ascending runs of guest page numbers (guest physical address / 4096), apart. */
  readonly runs: Runs;
  /** Smaller blocks were left out, since there were too many. */
  readonly truncated: boolean;
  readonly initOnAlloc: boolean;
  readonly initOnFree: boolean;
  readonly minimumOrder: number;
  readonly zones: number;
  /** With a zone's lock held, together and at a stretch; 0 without driver. */
  readonly lockMs: number;
  readonly longestLockMs: number;
  /** The whole scan, in the guest. */
  readonly scanMs: number;
}

/** How to look at accessed bits. */
export interface WorkingSetRequest {
  /** Looks, each after an interval; their union is the answer. None with `fresh`: only forget what was before. */
  readonly scans: number;
  readonly intervalMs: number;
  readonly mostRuns: number;
  /** Forget first what was touched before. */
  readonly fresh: boolean;
}

/** The pages that programs touched. */
export interface WorkingSetAnswer {
  readonly runs: Runs;
  readonly truncated: boolean;
  readonly processes: number;
  readonly scans: number;
  readonly mappedPages: number;
  /** Of these, seen only as huge pages: all 512 or none. */
  readonly hugePages: number;
  readonly scanMs: number;
}

/** What dropping the page cache brought. */
export interface DropCacheAnswer {
  /** False: the time was over; the guest goes on by itself. */
  readonly finished: boolean;
  readonly droppedBytes: number;
  readonly tookMs: number;
}

/** What to list of the pages that are the guest's kernel's own. */
export interface KernelPagesRequest {
  /** Only page tables. */
  readonly tablesOnly: boolean;
  readonly mostRuns: number;
}

/** Pages that are neither free nor a program's nor page cache. */
export interface KernelPagesAnswer {
  readonly runs: Runs;
  /** There are more, at higher addresses. */
  readonly truncated: boolean;
  readonly scanMs: number;
}

/** Payload of a request. */
export const encodeRequest = {
  hello: (): Buffer => Buffer.alloc(0),
  /** Only kpageflags keep to the range: a driver lists all. */
  freePages(
    { source, minimumOrder, perCpu, mostRuns }: FreePagesRequest,
    { firstPage, endPage }: PageRange,
  ): Buffer {
    const payload = Buffer.alloc(16);
    payload[0] = freePageSources.indexOf(source);
    payload[1] = minimumOrder;
    payload[2] = perCpu ? 1 : 0;
    payload.writeUInt32LE(mostRuns, 4);
    payload.writeUInt32LE(firstPage, 8);
    payload.writeUInt32LE(endPage, 12);
    return payload;
  },
  workingSet({ scans, intervalMs, mostRuns, fresh }: WorkingSetRequest): Buffer {
    const payload = Buffer.alloc(16);
    payload.writeUInt32LE(scans, 0);
    payload.writeUInt32LE(intervalMs, 4);
    payload.writeUInt32LE(mostRuns, 8);
    payload[12] = fresh ? 1 : 0;
    return payload;
  },
  dropCache({ timeoutMs }: { readonly timeoutMs: number }): Buffer {
    const payload = Buffer.alloc(4);
    payload.writeUInt32LE(timeoutMs, 0);
    return payload;
  },
  kernelPages({ tablesOnly, mostRuns }: KernelPagesRequest, { firstPage, endPage }: PageRange): Buffer {
    const payload = Buffer.alloc(16);
    payload.writeUInt32LE(mostRuns, 0);
    payload.writeUInt32LE(firstPage, 4);
    payload.writeUInt32LE(endPage, 8);
    payload[12] = tablesOnly ? 1 : 0;
    return payload;
  },
};

/** One whole frame. */
export function encodeFrame(type: number, session: number, sequence: number, payload: Buffer): Buffer {
  const frame = Buffer.alloc(FRAME_HEAD_BYTES + payload.length);
  frame.writeUInt32LE(FRAME_MAGIC, 0);
  frame.writeUInt16LE(type, 4);
  frame.writeUInt16LE(HELPER_PROTOCOL_VERSION, 6);
  frame.writeUInt32LE(session, 8);
  frame.writeUInt32LE(sequence, 12);
  frame.writeUInt32LE(payload.length, 16);
  payload.copy(frame, FRAME_HEAD_BYTES);
  return frame;
}

/**
 * What a frame answers to a request.
 * @throws GodwitError `GODWIT_HELPER_REFUSED` where the helper says no, `GODWIT_HELPER_ANSWER` where it makes no sense
 */
export function payloadOf(frame: Frame, request: RequestName): Buffer {
  if (frame.type === ERROR) throw refusal(frame.payload);
  if (frame.type === (requestTypes[request] | ANSWER)) return frame.payload;
  throw badAnswer(`type ${frame.type} does not answer ${request}`);
}

/** @throws GodwitError `GODWIT_HELPER_ANSWER` */
export function decodeHello(payload: Buffer): HelperHello {
  expectLength(payload, 16);
  const lowest = payload.readUInt16LE(0);
  const highest = payload.readUInt16LE(2);
  if (lowest > HELPER_PROTOCOL_VERSION || highest < HELPER_PROTOCOL_VERSION) {
    throw badAnswer(`it speaks versions ${lowest} to ${highest}, we speak ${HELPER_PROTOCOL_VERSION}`);
  }
  const able = payload.readUInt32LE(4);
  const mostRuns = payload.readUInt32LE(8);
  const pageBytes = payload.readUInt32LE(12);
  if (pageBytes !== 4096) throw badAnswer(`its pages have ${pageBytes} bytes`);
  if (mostRuns === 0) throw badAnswer("it can list nothing");
  return {
    canAskDriver: (able & 1) !== 0,
    canReadKpageflags: (able & 2) !== 0,
    canScanWorkingSet: (able & 4) !== 0,
    canDropCache: (able & 8) !== 0,
    canListKernelPages: (able & 16) !== 0,
    mostRuns: Math.min(mostRuns, MOST_RUNS),
  };
}

const TRUNCATED_FREE_PAGES = 4;
const TRUNCATED_WORKING_SET = 1;
const TRUNCATED_KERNEL_PAGES = 1;

/**
 * @param range where the runs must lie
 * @throws GodwitError `GODWIT_HELPER_ANSWER`
 */
export function decodeFreePages(
  payload: Buffer,
  request: FreePagesRequest,
  range: PageRange,
): FreePagesAnswer {
  const runs = decodeRuns(payload, 40, 4, request.mostRuns, range);
  const source = freePageSources[payload[0]!];
  if (source === undefined || source === "any" || (request.source !== "any" && request.source !== source)) {
    throw badAnswer(`source ${payload[0]} of its list is not what was asked for`);
  }
  const flags = payload.readUInt16LE(2);
  return {
    source,
    runs,
    truncated: (flags & TRUNCATED_FREE_PAGES) !== 0,
    initOnAlloc: (flags & 1) !== 0,
    initOnFree: (flags & 2) !== 0,
    minimumOrder: payload[1]!,
    zones: payload.readUInt32LE(8),
    lockMs: millisecondsAt(payload, 16),
    longestLockMs: millisecondsAt(payload, 24),
    scanMs: millisecondsAt(payload, 32),
  };
}

/**
 * @param pageCount guest page numbers are below it
 * @throws GodwitError `GODWIT_HELPER_ANSWER`
 */
export function decodeWorkingSet(
  payload: Buffer,
  request: WorkingSetRequest,
  pageCount: number,
): WorkingSetAnswer {
  const runs = decodeRuns(payload, 40, 12, request.mostRuns, { firstPage: 0, endPage: pageCount });
  return {
    runs,
    truncated: (payload.readUInt32LE(0) & TRUNCATED_WORKING_SET) !== 0,
    processes: payload.readUInt32LE(4),
    scans: payload.readUInt32LE(8),
    mappedPages: Number(payload.readBigUInt64LE(16)),
    hugePages: Number(payload.readBigUInt64LE(24)),
    scanMs: millisecondsAt(payload, 32),
  };
}

/** @throws GodwitError `GODWIT_HELPER_ANSWER` */
export function decodeDropCache(payload: Buffer): DropCacheAnswer {
  expectLength(payload, 32);
  const beforeKib = Number(payload.readBigUInt64LE(8));
  const afterKib = Number(payload.readBigUInt64LE(16));
  return {
    finished: payload.readUInt32LE(0) !== 0,
    droppedBytes: Math.max(0, beforeKib - afterKib) * 1024,
    tookMs: millisecondsAt(payload, 24),
  };
}

/** As {@link decodeFreePages}. */
export function decodeKernelPages(
  payload: Buffer,
  request: KernelPagesRequest,
  range: PageRange,
): KernelPagesAnswer {
  const runs = decodeRuns(payload, 16, 4, request.mostRuns, range);
  const truncated = (payload.readUInt32LE(0) & TRUNCATED_KERNEL_PAGES) !== 0;
  return { runs, truncated, scanMs: millisecondsAt(payload, 8) };
}

function decodeRuns(
  payload: Buffer,
  headBytes: number,
  countAt: number,
  mostRuns: number,
  { firstPage, endPage }: PageRange,
): Runs {
  if (payload.length < headBytes) throw badAnswer(`${payload.length} bytes are too short for it`);
  const count = payload.readUInt32LE(countAt);
  if (count > mostRuns) throw badAnswer(`it lists ${count} runs, ${mostRuns} were allowed`);
  if (payload.length !== headBytes + count * RUN_BYTES) {
    throw badAnswer(`it says ${count} runs and has ${payload.length - headBytes} bytes of them`);
  }
  const runs = new Uint32Array(2 * count);
  for (let index = 0; index < runs.length; index++) runs[index] = payload.readUInt32LE(headBytes + 4 * index);
  try {
    checkRuns(runs, { pageCount: endPage });
  } catch (error) {
    throw badAnswer((error as Error).message);
  }
  if (runs.length > 0 && runs[0]! < firstPage) throw badAnswer(`page ${runs[0]} was not asked about`);
  return runs;
}

function millisecondsAt(payload: Buffer, offset: number): number {
  return Number(payload.readBigUInt64LE(offset)) / 1e6;
}

function expectLength(payload: Buffer, bytes: number): void {
  if (payload.length !== bytes) throw badAnswer(`${payload.length} bytes where ${bytes} belong`);
}

const reasons: Readonly<Record<number, string>> = {
  1: "it doesn't speak our version",
  2: "it doesn't know the request",
  3: "it finds the request malformed",
  4: "it has no driver for that",
  5: "its kernel keeps something in free pages (page_poison)",
  6: "its kernel refused",
};

function refusal(payload: Buffer): GodwitError {
  expectLength(payload, 8);
  return refused(payload.readUInt32LE(0), payload.readUInt32LE(4));
}

/** The guest says no, for a reason by its number in the helper's protocol: {@link GodwitError} `GODWIT_HELPER_REFUSED`. */
export function refused(code: number, errno: number): GodwitError {
  const reason = reasons[code] ?? `reason ${code}`;
  return new GodwitError("GODWIT_HELPER_REFUSED", `the guest's helper says no: ${reason} (errno ${errno})`, {
    advice: "the migration goes on without it",
  });
}

/** What a helper said makes no sense: {@link GodwitError} `GODWIT_HELPER_ANSWER`. */
export function badAnswer(what: string): GodwitError {
  return new GodwitError("GODWIT_HELPER_ANSWER", `the guest's helper gave a wrong answer: ${what}`, {
    advice: "the migration goes on without it; look at the helper in the guest",
  });
}
