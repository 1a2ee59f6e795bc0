import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { phaseTransitions } from "../src/migration/phases.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** The cells of every table row in a document that begins with a cell in code style. */
function rows(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) =>
      line
        .split("|")
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
}

const inCode = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

test("the table and the diagram in phases.md are those of the code", () => {
  const [table = ""] = read("docs/phases.md").split("## What each side does");
  const documented = rows(table).map(([phase, next]) => [inCode(phase!)[0], inCode(next!)]);
  const coded = Object.entries(phaseTransitions).map(([phase, next]) => [phase, [...next]]);
  assert.deepEqual(documented, coded);

  const edges = [...table.matchAll(/^ {2}(\w+) --> (\w+)$/gm)].map(([, from, to]) => `${from} ${to}`);
  const expected = Object.entries(phaseTransitions).flatMap(([from, to]) =>
    to.map((next) => `${from} ${next}`),
  );
  assert.deepEqual(edges.sort(), expected.sort());
});

test("errors.md explains every code of the source, and no other", () => {
  const isSupport = (path: string) => /\.test\.ts$|\/testing\/|\/testing\.ts$|\/test-[^/]*\.ts$/.test(path);
  const coded = new Set<string>();
  for (const path of globSync("src/**/*.ts", { cwd: root })) {
    if (isSupport(path)) continue;
    for (const [code] of read(path).matchAll(/(?<=")GODWIT_[A-Z0-9_]*[A-Z0-9](?=")/g)) coded.add(code);
  }
  const documented = rows(read("docs/errors.md")).map(([code]) => inCode(code!)[0]!);
  assert.deepEqual(documented.sort(), [...coded].sort());
});

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  KiB: 1024,
  MiB: 1024 ** 2,
  TiB: 1024 ** 4,
  "%": 0.01,
};

/** A value as people write it, in milliseconds, bytes or pieces. */
function documentedValue(cell: string): number {
  const [, base, exponent, unit] = /^([\d.e]+)(?:\^(\d+))?\s*(\S*)$/.exec(cell) ?? [];
  assert.ok(base !== undefined, `"${cell}" is not a value`);
  return Number(base) ** Number(exponent ?? 1) * (UNITS[unit!] ?? 1);
}

/** The value of a constant or a property with a number, read from the source. */
function codedValue(name: string, text: string): number {
  const [, expression] =
    new RegExp(`^(?:export )?(?:const | +)${name}(?: =|:) ([-\\d_.e*+<>() n]+)[;,]$`, "m").exec(text) ?? [];
  assert.ok(expression !== undefined, `${name} is not there`);
  const value = Number(new Function(`return ${expression}`)());
  return name.endsWith("_NS") ? value / 1e6 : value;
}

for (const [constant, value, file] of rows(read("docs/limits.md")).filter((row) =>
  row[2]?.startsWith("`src/"),
)) {
  const name = inCode(constant!)[0]!;
  const path = inCode(file!)[0]!;
  test(`limits.md says of ${name} in ${path} what the code says`, () => {
    assert.equal(documentedValue(value!), codedValue(name, read(path)));
  });
}

test("testing.md names tests that are there", () => {
  const named = rows(read("docs/testing.md")).filter((row) => row.length === 3);
  assert.ok(named.length > 0);
  for (const [file, , name] of named) {
    const path = inCode(file!)[0]!;
    for (const words of inCode(name!))
      assert.ok(read(path).includes(words), `${path} has no test "${words}"`);
  }
});

test("every link between documents leads somewhere", () => {
  for (const path of ["README.md", "CONTRIBUTING.md", ...globSync("docs/*.md", { cwd: root })]) {
    const text = read(path);
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [file, anchor] = target!.split("#");
      const absolute = file === "" ? join(root, path) : join(root, dirname(path), file!);
      assert.ok(existsSync(absolute), `${path} links to ${target}`);
      if (anchor !== undefined)
        assert.ok(anchors(readFileSync(absolute, "utf8")).has(anchor), `${path}: ${target}`);
    }
  }
});

/** The anchors of a document's headings, as GitHub makes them. */
function anchors(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w\s-]/g, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}
