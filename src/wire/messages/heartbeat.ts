import { z } from "zod";
import { defineMessage } from "./define.ts";

/** Keeps the link known to be alive; the channel sends and takes it by itself. */
export const heartbeat = defineMessage({
  type: "heartbeat",
  code: 21,
  direction: "both",
  payload: "none",
  doc: "Says that the sender is alive, once a second when nothing else is sent. Never seen above the channel.",
  schema: z.strictObject({}),
  examples: [{}],
});
