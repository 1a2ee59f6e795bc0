/** Sets of guest pages: runs and shared, atomic bitmaps. */
export { MAX_PAGES, PageBitmap, type PageFilter } from "./bitmap.ts";
export { checkRuns, countPages, eachPage, type RunLimits, type Runs, runsOf } from "./runs.ts";
