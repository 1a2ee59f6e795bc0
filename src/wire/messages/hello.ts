import { z } from "zod";
import { defineMessage, type MessageOf } from "./define.ts";
import { nameField, versionField } from "./fields.ts";

const protocolVersion = z.int().min(1).max(65_535);

/**
 * The first message of both sides. The only one that lets unknown fields pass, since it must be readable by
 * every version.
 */
export const hello = defineMessage({
  type: "hello",
  code: 1,
  direction: "both",
  payload: "none",
  doc: "First message of both sides: the protocol versions and features it knows, and who it is.",
  schema: z.object({
    minimumVersion: protocolVersion,
    maximumVersion: protocolVersion,
    /** Optional abilities, used only when both sides name them. 64 names are far more than will ever exist. */
    features: z.array(z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/)).max(64),
    agentName: nameField,
    softwareVersion: versionField,
  }),
  examples: [
    { minimumVersion: 1, maximumVersion: 1, features: [], agentName: "alpha", softwareVersion: "0.1.0" },
    {
      minimumVersion: 1,
      maximumVersion: 3,
      features: ["post-copy"],
      agentName: "beta",
      softwareVersion: "0.2.0",
    },
  ],
});

/** {@link hello} as it arrives. */
export type Hello = MessageOf<typeof hello>;
