import { z } from "zod";

/** An {@link import("./errors.ts").ErrorRecord} as it stands in reports, event logs and results, to be read back. */
export const errorRecordSchema = z.object({
  code: z.templateLiteral(["GODWIT_", z.string()]),
  message: z.string(),
  side: z.enum(["source", "destination", "local"]).optional(),
  phase: z.string().optional(),
  vmState: z.string().optional(),
  advice: z.string().optional(),
});
