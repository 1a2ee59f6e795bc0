import { z } from "zod";
import { defineMessage } from "./define.ts";
import { countField, migrationIdField, ramBlocksField } from "./fields.ts";

/** What QEMU's stream says before the first page. */
export const streamHead = defineMessage({
  type: "stream-head",
  code: 5,
  direction: "source-to-destination",
  payload: "required",
  doc: "What QEMU's stream says before the first page. Payload: QEMU's configuration record, verbatim.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    ramSectionId: z.int().min(0).max(0xffff_ffff),
    /** In the order of MEM_SIZE; bulk frames name a block by its index here. */
    blocks: ramBlocksField,
    totalBytes: countField,
  }),
  examples: [
    {
      migrationId: "m-1",
      ramSectionId: 3,
      blocks: [
        { name: "pc.ram", usedBytes: 1_073_741_824, pageSizeBytes: 4096 },
        { name: "pc.bios", usedBytes: 262_144, pageSizeBytes: 4096 },
      ],
      totalBytes: 1_074_003_968,
    },
  ],
});
