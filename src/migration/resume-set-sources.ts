import { GodwitError } from "../base/errors.ts";

/**
 * What may lead a guest that resumes before all of its pages are there: what it asked for first after earlier moves;
 * its kernel's own pages and page tables; pages that it wrote to just before it stopped; its programs' working set;
 * what lies around all of these; and zero pages that it wrote zeros to. Not with the other settings: the data process
 * needs no more of them than this, and what checks settings takes a sixth of a second to load.
 */
export const resumeSetSources = [
  "learned",
  "kernel",
  "written",
  "working-set",
  "neighbourhood",
  "zeroed",
] as const;

/** One of them. */
export type ResumeSetSource = (typeof resumeSetSources)[number];

/**
 * Reads `auto`, `none`, or names of sources with commas between them. Undefined is `auto`.
 * @throws GodwitError `GODWIT_USAGE` for anything else
 */
export function resumeSetFrom(text: string): ResumeSetSource[] | undefined {
  if (text === "auto") return undefined;
  if (text === "none") return [];
  return text.split(",").map((name) => {
    const known = resumeSetSources.find((source) => source === name);
    if (known !== undefined) return known;
    throw new GodwitError("GODWIT_USAGE", `"${name}" is no source of the resume set`, {
      side: "local",
      advice: `write auto, none, or names with commas between them: ${resumeSetSources.join(", ")}`,
    });
  });
}
