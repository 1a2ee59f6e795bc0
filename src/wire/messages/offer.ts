import { z } from "zod";
import { defineMessage, type MessageOf } from "./define.ts";
import {
  migrationIdField,
  nameField,
  plainObjectField,
  type ramBlockField,
  ramBlocksField,
  versionField,
} from "./fields.ts";

/** Asks the destination to take a machine. */
export const offer = defineMessage({
  type: "offer",
  code: 2,
  direction: "source-to-destination",
  payload: "none",
  doc: "Asks the destination to take a machine: everything it needs to start its own QEMU and to refuse in time.",
  schema: z.strictObject({
    migrationId: migrationIdField,
    vmName: nameField,
    /** The machine file as a JSON object; the destination checks it like one of its own. */
    machine: plainObjectField,
    /** The versioned machine type QEMU resolved the name to, such as `pc-i440fx-10.0`. */
    machineType: nameField,
    qemuVersion: versionField,
    memoryBlocks: ramBlocksField,
    /** The guest was paused by its owner and stays paused after the move. */
    guestPaused: z.boolean(),
    /** The migration's settings as a JSON object. */
    settings: plainObjectField,
    sourceName: nameField,
  }),
  examples: [
    {
      migrationId: "m-1",
      vmName: "web",
      machine: { memory: "1GiB", vcpus: 1 },
      machineType: "pc-i440fx-10.0",
      qemuVersion: "10.0.2",
      memoryBlocks: [{ name: "pc.ram", usedBytes: 1_073_741_824, pageSizeBytes: 4096 }],
      guestPaused: false,
      settings: { strategy: "pre-copy" },
      sourceName: "alpha",
    },
  ],
});

/** {@link offer} as it arrives. */
export type Offer = MessageOf<typeof offer>;

/** A RAM block as messages carry it. */
export type WireRamBlock = z.output<typeof ramBlockField>;
