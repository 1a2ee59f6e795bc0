import { z } from "zod";

/** What every answer of the guest's load generator has. */
export const answerSchema = z.looseObject({ ok: z.boolean(), error: z.string().optional() });

const count = z.number().int().nonnegative();
const paced = { bytesPerSecond: count, achievedBytesPerSecond: count };

/** The answer to `status`. Rates are bytes a second: the wanted one and that of the last full second. */
export const statusSchema = z.object({
  state: z.enum(["idle", "filling", "ready"]),
  uptimeMs: count,
  holdBytes: count,
  filledBytes: count,
  content: z.enum(["text", "random"]),
  /** Pages written since the memory was taken, the filling included. */
  updates: count,
  dirty: z.object({
    areaBytes: count,
    ...paced,
    order: z.enum(["sequential", "random"]),
    rewrite: z.enum(["stamps", "pages"]),
  }),
  read: z.object({ areaBytes: count, ...paced }),
  churn: z.object({ bytes: count, ...paced, checkedPages: count, damagedPages: count }),
  disk: z.object({ open: z.boolean(), records: count, errno: count, achievedBytesPerSecond: count }),
});
/** What the guest says of itself and its load. */
export type GuestStatus = z.infer<typeof statusSchema>;

const findings = {
  /** Mixtures of two versions of a page, or a page of which a part is damaged. */
  torn: count,
  /** Whole pages of another generation than the guest wrote last. */
  stale: count,
  /** Zero pages, or pages with foreign content. */
  lost: count,
};

/** The answer to `verify`: numbers of pages, unless said otherwise. */
export const verdictSchema = z.object({
  pages: count,
  ...findings,
  /** Entries of the guest's own record that contradict their copy, and sums that don't fit. */
  tracker: count,
  /** Damaged pages that the churn found when it freed them. */
  churn: count,
  /** The sum of all of the above: 0 is the only good value. */
  bad: count,
  /** The highest generation of any page. */
  generation: count,
  updates: count,
  tookMs: count,
  /** The first few bad pages. `frame` is the page's number in the guest's physical memory. */
  first: z.array(
    z.object({
      page: count,
      kind: z.enum(["torn", "stale", "lost"]),
      expected: count,
      found: count,
      frame: count,
    }),
  ),
});
/** What the guest found when it checked its memory. */
export type Verdict = z.infer<typeof verdictSchema>;

/** The answer to `disk-verify`: records written in all, and how the device's pages of 4 KiB were found. */
export const diskVerdictSchema = z.object({ records: count, pages: count, ...findings, bad: count });
/** What it found when it checked its disk. */
export type DiskVerdict = z.infer<typeof diskVerdictSchema>;
