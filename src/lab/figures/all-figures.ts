import type { Figure } from "./figure.ts";
import { bandwidthFigure } from "./figure-01-bandwidth.ts";
import { stopAndCopyFigure } from "./figure-02-stop-and-copy.ts";
import { preCopyTimeFigure } from "./figure-03-pre-copy-time.ts";
import { preCopyDowntimeFigure } from "./figure-04-pre-copy-downtime.ts";
import { sideBySideFigure } from "./figure-05-side-by-side.ts";
import { workingSetFigure } from "./figure-06-working-set.ts";
import { dirtyRateFigure } from "./figure-07-dirty-rate.ts";
import { benchmarkFigure } from "./figure-08-benchmarks.ts";
import { clientFigure } from "./figure-09-client.ts";
import { timelineFigure } from "./figure-10-timeline.ts";

/** Every figure, by its number. */
export const allFigures: readonly Figure[] = [
  bandwidthFigure,
  stopAndCopyFigure,
  preCopyTimeFigure,
  preCopyDowntimeFigure,
  sideBySideFigure,
  workingSetFigure,
  dirtyRateFigure,
  benchmarkFigure(),
  clientFigure,
  timelineFigure,
];
