import { readFileSync, writeFileSync } from "node:fs";

/** What stands between two marks of a document: `<!-- NAME:start -->` and `<!-- NAME:end -->`, each on its line. */
export function marked(text: string, name: string): string {
  const { from, to } = between(text, name);
  return text.slice(from, to);
}

/** Puts something else between the marks of a document. */
export function replaceMarked(path: string, name: string, content: string): void {
  const text = readFileSync(path, "utf8");
  const { from, to } = between(text, name);
  writeFileSync(path, `${text.slice(0, from)}${content}${text.slice(to)}`);
}

function between(text: string, name: string): { from: number; to: number } {
  const start = `<!-- ${name}:start -->\n`;
  const from = text.indexOf(start) + start.length;
  const to = text.indexOf(`\n<!-- ${name}:end -->`);
  if (from < start.length || to < from) throw new RangeError(`the marks of ${name} are not there`);
  return { from, to };
}
