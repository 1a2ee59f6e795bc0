import { z } from "zod";
import { defineMessage } from "./define.ts";
import { migrationIdField } from "./fields.ts";

/** Where the destination finds the bulk connections. */
export const bulkOffer = defineMessage({
  type: "bulk-offer",
  code: 6,
  direction: "source-to-destination",
  payload: "none",
  doc: "The source listens for the bulk connections: one port each, and the token that whoever dials must show.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    /** One per bulk connection, in the order of the connections' numbers; 16 is the most a user can set. */
    ports: z.array(z.int().min(1).max(65_535)).min(1).max(17),
    /** 32 random bytes, new for every migration. */
    tokenHex: z.string().regex(/^[0-9a-f]{64}$/),
    compression: z.enum(["auto", "none", "zstd", "lz4"]),
  }),
  examples: [{ migrationId: "m-1", ports: [40_001, 40_002], tokenHex: "5a".repeat(32), compression: "auto" }],
});
