import { GodwitError } from "./errors.ts";

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

const BIT_UNITS: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, Mbit: 1e6, Gbit: 1e9 };

/**
 * Reads an amount of memory or data such as `2GiB`, `512M` (binary, as QEMU means it), `60MB` (decimal) or a
 * plain number of bytes.
 * @throws GodwitError `GODWIT_BAD_QUANTITY`
 */
export function parseBytes(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(text);
  const factor = match === null ? undefined : BYTE_UNITS[match[2] ?? ""];
  if (match === null || factor === undefined) {
    throw new GodwitError("GODWIT_BAD_QUANTITY", `"${text}" is not an amount of bytes`, {
      advice: "write for example 512MiB, 2GiB, 60MB or a number of bytes",
    });
  }
  return Math.round(Number(match[1]) * factor);
}

/**
 * Reads a rate such as `1Gbit/s`, `100Mbit/s`, `60MB/s` or `125MiB/s` into bytes per second.
 * @throws GodwitError `GODWIT_BAD_QUANTITY`
 */
export function parseBytesPerSecond(text: string): number {
  const amount = text.trim().replace(/\/s$/, "");
  const bits = /^(\d+(?:\.\d+)?)\s*([kMG]?bit)$/.exec(amount);
  const factor = bits === null ? undefined : BIT_UNITS[bits[2] ?? ""];
  if (bits !== null && factor !== undefined) return Math.round((Number(bits[1]) * factor) / 8);
  try {
    return parseBytes(amount);
  } catch {
    throw new GodwitError("GODWIT_BAD_QUANTITY", `"${text}" is not a rate`, {
      advice: "write for example 1Gbit/s, 100Mbit/s or 60MB/s",
    });
  }
}

/**
 * Reads a length of time such as `30ms`, `2s` or `1min` into milliseconds; a plain number is milliseconds.
 * @throws GodwitError `GODWIT_BAD_QUANTITY`
 */
export function parseMilliseconds(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|)\s*$/.exec(text);
  if (match === null) {
    throw new GodwitError("GODWIT_BAD_QUANTITY", `"${text}" is not a length of time`, {
      advice: "write for example 300ms or 2s",
    });
  }
  const factor = { us: 0.001, ms: 1, "": 1, s: 1000, min: 60_000 }[match[2] ?? ""] ?? 1;
  return Number(match[1]) * factor;
}

/** An amount of bytes for people: three digits and a binary unit, `1.25 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? String(value) : value.toPrecision(value >= 1000 ? 4 : 3)} ${units[unit]}`;
}
