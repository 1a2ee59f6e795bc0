import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");
const biome = join(root, "node_modules/@biomejs/cli-linux-x64/biome");
/** What a file of each room must not be able to import, beside a neighbour that it may. */
const forbidden: Readonly<Record<string, readonly string[]>> = {
  base: [
    "pages/index.ts",
    "stream/index.ts",
    "qemu/index.ts",
    "wire/index.ts",
    "hints/index.ts",
    "migration/phases.ts",
  ],
  pages: ["stream/index.ts", "qemu/index.ts", "wire/index.ts", "migration/phases.ts", "cli/text.ts"],
  stream: ["qemu/qmp.ts", "wire/index.ts", "migration/ledger.ts", "stream/testing/captured.ts"],
  qemu: ["stream/index.ts", "wire/index.ts", "migration/settings.ts", "agent/client.ts"],
  wire: ["stream/index.ts", "qemu/index.ts", "migration/settings.ts", "wire/test-credentials.ts"],
  hints: ["metal/index.ts", "qemu/index.ts", "wire/index.ts", "migration/settings.ts", "stream/index.ts"],
  metal: ["hints/index.ts", "stream/index.ts", "wire/index.ts", "migration/settings.ts", "agent/client.ts"],
  migration: ["metal/index.ts", "agent/client.ts", "lab/toolchain.ts", "cli/text.ts"],
  agent: ["lab/toolchain.ts", "cli/text.ts", "agent/testing/fake-qemu.ts"],
  lab: ["cli/text.ts", "agent/registry.ts", "migration/ledger.ts", "qemu/start.ts", "wire/bulk/dial.ts"],
  cli: ["agent/registry.ts", "migration/source.ts", "qemu/index.ts", "stream/index.ts", "wire/index.ts"],
};
const allowed: Readonly<Record<string, readonly string[]>> = {
  base: ["base/errors.ts"],
  pages: ["base/errors.ts"],
  stream: ["base/errors.ts", "pages/index.ts"],
  qemu: ["base/errors.ts", "pages/index.ts"],
  wire: ["base/errors.ts", "pages/index.ts"],
  hints: ["base/errors.ts", "pages/index.ts"],
  metal: ["base/errors.ts", "qemu/index.ts"],
  migration: ["hints/index.ts", "pages/index.ts", "stream/index.ts", "qemu/index.ts", "wire/bulk/dial.ts"],
  agent: ["qemu/index.ts", "wire/index.ts", "migration/source.ts"],
  lab: ["agent/client.ts", "migration/report.ts", "qemu/index.ts", "wire/pki/index.ts"],
  cli: ["agent/client.ts", "migration/events.ts"],
};

/** Files of a room that import each of `targets`. */
function plant(room: string, kind: string, targets: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    targets.map((target, index) => [
      `src/${room}/planted-${kind}-${index}.ts`,
      `import type { Planted } from "../${target}";\nexport type Again = Planted;\n`,
    ]),
  );
}

const forms = {
  "src/wire/control/planted-value.ts": 'import { x } from "../../qemu/index.ts";\nexport const y = x;\n',
  "src/wire/control/planted-dynamic.ts": 'export const x = await import("../../stream/index.ts");\n',
  "src/wire/control/planted-export.ts": 'export * from "../../agent/client.ts";\n',
  "src/wire/control/planted-package.ts": 'import "godwit/stream";\n',
};

const cycle = {
  "src/stream/planted-a.ts": 'import type { B } from "./planted-b.ts";\nexport type A = B[];\n',
  "src/stream/planted-b.ts": 'import { c } from "./planted-c.ts";\nexport type B = typeof c;\n',
  "src/stream/planted-c.ts": 'import type { A } from "./planted-a.ts";\nexport const c: A | null = null;\n',
};

const planted = Object.assign(
  {},
  forms,
  cycle,
  ...Object.entries(forbidden).map(([room, targets]) => plant(room, "bad", targets)),
  ...Object.entries(allowed).map(([room, targets]) => plant(room, "good", targets)),
) as Readonly<Record<string, string>>;

/** What the linter says of imports in a copy of the tree with everything planted: "rule file", sorted. */
function lintCopy(): readonly string[] {
  const copy = mkdtempSync(join(tmpdir(), "godwit-import-rules-"));
  try {
    for (const path of ["src", "biome.jsonc", ".gitignore", "package.json", "tsconfig.json"]) {
      cpSync(join(root, path), join(copy, path), { recursive: true });
    }
    for (const [path, text] of Object.entries(planted)) writeFileSync(join(copy, path), text, { flag: "wx" });
    const rules = ["--only=suspicious/noImportCycles", "--only=style/noRestrictedImports"];
    const { stdout } = spawnSync(
      biome,
      ["lint", ...rules, "--reporter=json", "--max-diagnostics=none", "."],
      {
        cwd: copy,
        encoding: "utf8",
        maxBuffer: 64 * 1024 ** 2,
      },
    );
    const { diagnostics } = JSON.parse(stdout) as {
      diagnostics: { category: string; location: { path: string } }[];
    };
    return diagnostics
      .map(({ category, location }) => `${category.split("/").at(-1)} ${location.path}`)
      .sort();
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

const findings = lintCopy();

/** The findings in files below a folder whose names begin with `planted-` and a kind. */
function findingsIn(folder: string, kind: string): readonly string[] {
  return findings.filter((finding) => finding.includes(` ${folder}/planted-${kind}`));
}

test("the tree as it is keeps to the import rules and has no cycle", () => {
  assert.deepEqual(
    findings.filter((finding) => !finding.includes("/planted-")),
    [],
  );
});

test("every room has its rules", () => {
  const rooms = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  assert.deepEqual(rooms.map(({ name }) => name).sort(), Object.keys(forbidden).sort());
});

for (const room of Object.keys(forbidden)) {
  test(`${room}/ can't import what it must not know, and can what it may`, () => {
    const expected = Object.keys(plant(room, "bad", forbidden[room]!)).map(
      (file) => `noRestrictedImports ${file}`,
    );
    assert.deepEqual(findingsIn(`src/${room}`, "bad"), expected.sort());
    assert.deepEqual(findingsIn(`src/${room}`, "good"), []);
  });
}

test("a forbidden import is seen in every form and from a deeper folder", () => {
  const expected = Object.keys(forms).map((file) => `noRestrictedImports ${file}`);
  assert.deepEqual(findingsIn("src/wire/control", ""), expected.sort());
});

test("a cycle is seen, also one of types alone and one through a third file", () => {
  const expected = Object.keys(cycle).map((file) => `noImportCycles ${file}`);
  assert.deepEqual(
    expected.map((finding) => findings.includes(finding)),
    [true, true, true],
  );
});

// The linter looks at import statements and import() calls. A module named in another way stays in its room.
test("modules named by URL or in a type are of the same room", () => {
  for (const file of globSync("src/**/*.ts", { cwd: root })) {
    const text = readFileSync(join(root, file), "utf8");
    for (const [, ofType, ofUrl] of text.matchAll(
      /(?<!await )\bimport\("(\.[^"]+)"\)|new URL\("(\.[^"]+\.ts)"/g,
    )) {
      const target = normalize(join(dirname(file), (ofType ?? ofUrl)!));
      assert.equal(roomOf(target), roomOf(file), `${file} names ${target}`);
    }
  }
});

function roomOf(file: string): string {
  return file.split("/").slice(0, 2).join("/");
}
