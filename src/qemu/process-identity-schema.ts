import { z } from "zod";
import type { ProcessIdentity } from "./process-table.ts";

/** A process's identity as it is kept in files. */
export const processIdentitySchema: z.ZodType<ProcessIdentity> = z.object({
  pid: z.int().positive(),
  startTicks: z.number().nonnegative(),
  bootId: z.string(),
});
