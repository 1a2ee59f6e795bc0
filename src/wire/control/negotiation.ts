import { GodwitError } from "../../base/errors.ts";
import type { Hello } from "../messages/hello.ts";

/** The protocol versions this software speaks; `docs/wire-protocol.md` says what changed with each. */
export const OWN_VERSIONS = { minimum: 1, maximum: 1 } as const;

/** Optional abilities of this software; none exist yet. */
export const OWN_FEATURES: readonly string[] = [];

/** What two sides agreed on. */
export interface Agreement {
  readonly version: number;
  /** Named by both sides, sorted. */
  readonly features: readonly string[];
}

/**
 * What follows from both hellos: the highest version both speak and the features both name. The same on both
 * sides, so it needs no further message.
 * @throws GodwitError `GODWIT_WIRE_VERSION` naming both ranges
 */
export function negotiate(own: Hello, peer: Hello): Agreement {
  const version = Math.min(own.maximumVersion, peer.maximumVersion);
  if (version < Math.max(own.minimumVersion, peer.minimumVersion)) {
    throw new GodwitError(
      "GODWIT_WIRE_VERSION",
      `${own.agentName} (${own.softwareVersion}) speaks wire versions ${range(own)}, ` +
        `${peer.agentName} (${peer.softwareVersion}) ${range(peer)}`,
      { advice: "bring both agents to the same version of Godwit" },
    );
  }
  const theirs = new Set(peer.features);
  return { version, features: own.features.filter((feature) => theirs.has(feature)).toSorted() };
}

function range(side: Hello): string {
  return `${side.minimumVersion} to ${side.maximumVersion}`;
}
