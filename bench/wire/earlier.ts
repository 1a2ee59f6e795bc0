/**
 * What the modes of the wire gave end to end with two threads a side, and processor seconds per GB at the sender and the
 * receiver: measured on another machine before the code was written (FACTS 10).
 */
export const earlierFigures: Readonly<Record<string, string>> = {
  none: "2.11 GB/s, 0.44 and 0.43",
  "zstd 1": "0.91 GB/s, 1.33 and 0.78",
  "zstd -2": "1.05 GB/s, 1.18 and 0.68",
};
