import { isIPv6 } from "node:net";
import { GodwitError } from "../base/errors.ts";

/**
 * Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a bare IPv6 address.
 * @throws GodwitError `GODWIT_USAGE`
 */
export function parseHostAndPort(text: string): { host: string; port?: number } {
  if (isIPv6(text)) return { host: text };
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  const bad = host === undefined || (match?.[1] !== undefined && !isIPv6(host));
  if (bad || (port !== undefined && (port < 1 || port > 65_535))) {
    throw new GodwitError("GODWIT_USAGE", `"${text}" is not a host`, {
      side: "local",
      advice: "write for example beta, 10.0.0.2:7481 or [fd00::2]:7481",
    });
  }
  return port === undefined ? { host } : { host, port };
}
