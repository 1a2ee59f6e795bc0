import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { guestImage, qemuBuild, qemuVersions, toolchain } from "./toolchain.ts";

const folder = mkdtempSync(join(tmpdir(), "godwit-toolchain-"));
after(() => rmSync(folder, { recursive: true }));

const existing = join(folder, "program");
writeFileSync(existing, "");

function manifest(content: unknown): string {
  const path = join(folder, "manifest.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const qemu = { binary: existing, img: existing, version: "10.0.2" };
const guest = { kernel: existing, initrd: existing, load: existing, kernelRelease: "6.1.0-1-cloud-amd64" };
const setupMissing = { code: "GODWIT_SETUP_MISSING", advice: "run npm run setup" };

test("a complete manifest is read with everything it names", () => {
  const tools = toolchain(manifest({ qemu: { "10.0": qemu, "7.2": { ...qemu, version: "7.2.22" } }, guest }));
  assert.deepEqual(qemuVersions(tools), ["10.0", "7.2"]);
  assert.equal(qemuBuild("7.2", tools).version, "7.2.22");
  assert.equal(guestImage(tools).kernelRelease, "6.1.0-1-cloud-amd64");
});

test("a version that this system doesn't have is absent, and asking for it says so", () => {
  const tools = toolchain(manifest({ qemu: { "10.0": qemu }, guest }));
  assert.deepEqual(qemuVersions(tools), ["10.0"]);
  assert.throws(() => qemuBuild("7.2", tools), setupMissing);
});

test("a guest that could not be built is null, and asking for it says so", () => {
  const tools = toolchain(manifest({ qemu: {}, guest: null }));
  assert.throws(() => guestImage(tools), setupMissing);
});

test("no manifest, a damaged one and one that names missing files all ask for set-up", () => {
  assert.throws(() => toolchain(join(folder, "none.json")), setupMissing);
  assert.throws(() => toolchain(manifest("{ half")), setupMissing);
  assert.throws(() => toolchain(manifest({ qemu: { "10.0": { binary: 1 } }, guest })), setupMissing);
  const gone = { ...guest, kernel: join(folder, "gone") };
  assert.throws(() => toolchain(manifest({ qemu: { "10.0": qemu }, guest: gone })), setupMissing);
});
