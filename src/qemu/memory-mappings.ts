import { readdirSync, readFileSync, statSync } from "node:fs";

/** A line of /proc/PID/maps: the addresses [start, end) of a process. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly readable: boolean;
  /** Writes reach the file. */
  readonly shared: boolean;
  readonly fileOffset: number;
  /** 0 where there is no file. */
  readonly inode: number;
  readonly path: string;
}

/** A part of a file that a process has mapped shared. */
export interface MappedFile {
  readonly path: string;
  readonly fileOffset: number;
  readonly inode: number;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ([r-])[w-][x-]([ps]) ([0-9a-f]+) \S+ (\d+)\s*(.*)$/;

/** The mappings of a process, ascending. @throws the file system's error without the permission to see them */
export function readMappings(pid: number): Mapping[] {
  return parseMappings(readFileSync(`/proc/${pid}/maps`, "utf8"));
}

/** Reads the text of /proc/PID/maps (Documentation/filesystems/proc.rst). */
export function parseMappings(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, start = "", end = "", readable, sharing, offset = "", inode, path = ""] = match;
    mappings.push({
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      readable: readable === "r",
      shared: sharing === "s",
      fileOffset: Number.parseInt(offset, 16),
      inode: Number(inode),
      path,
    });
  }
  return mappings;
}

/** The first address of [from, to) that isn't mapped readable; `null` when all of it is. */
export function firstUnreadable(mappings: readonly Mapping[], from: number, to: number): number | null {
  let reached = from;
  for (const { start, end, readable } of mappings) {
    if (end <= reached) continue;
    if (reached >= to) break;
    if (start > reached || !readable) return reached;
    reached = end;
  }
  return reached >= to ? null : reached;
}

/**
 * Whether nobody has touched the addresses [from, to) of a process yet, so that each of their bytes is zero: no file is
 * behind them, and no page of theirs is in memory.
 * @param smaps the text of its /proc/PID/smaps
 */
export function isUntouched(smaps: string, from: number, to: number): boolean {
  let inside = false;
  let reached = from;
  for (const line of smaps.split("\n")) {
    const mapping = parseMappings(line)[0];
    if (mapping !== undefined) {
      inside = mapping.start < to && mapping.end > from;
      if (inside && (mapping.start > reached || mapping.inode !== 0)) return false;
      if (inside) reached = mapping.end;
    } else if (inside && /^(Rss|Swap): *[1-9]/.test(line)) return false;
  }
  return reached >= to;
}

/**
 * The file whose contents the addresses [from, to) of a process are, `null` when they are private memory or several
 * files. The path can be opened: the file's own, or that of the descriptor through which the process holds it.
 */
export function mappedFile(
  pid: number,
  mappings: readonly Mapping[],
  from: number,
  to: number,
): MappedFile | null {
  const parts = mappings.filter(({ start, end }) => start < to && end > from);
  const first = parts[0];
  if (first === undefined) return null;
  const fileOffset = first.fileOffset + from - first.start;
  const oneFile = parts.every((part) => {
    return (
      part.shared &&
      part.inode === first.inode &&
      part.fileOffset - part.start === first.fileOffset - first.start
    );
  });
  if (!oneFile || first.inode === 0) return null;
  const path = openablePath(pid, first, fileOffset + to - from);
  return path === null ? null : { path, fileOffset, inode: first.inode };
}

function openablePath(pid: number, { path, inode }: Mapping, minimumBytes: number): string | null {
  const isThatFile = (candidate: string) => {
    try {
      const stat = statSync(candidate);
      return stat.ino === inode && stat.size >= minimumBytes;
    } catch {
      return false;
    }
  };
  if (isThatFile(path)) return path;
  const folder = `/proc/${pid}/fd`;
  try {
    const descriptor = readdirSync(folder).find((name) => isThatFile(`${folder}/${name}`));
    return descriptor === undefined ? null : `${folder}/${descriptor}`;
  } catch {
    return null;
  }
}
