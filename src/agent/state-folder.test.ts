import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openStateFolder } from "./state-folder.ts";

function temporary(context: { after(clean: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "godwit-state-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("a state folder is made with its rooms", (context) => {
  const path = join(temporary(context), "deep", "state");
  const folder = openStateFolder(path);
  assert.ok(existsSync(folder.machines));
  assert.ok(existsSync(folder.migrations));
  folder.release();
});

test("a second agent is refused while the first has the folder, and may have it afterwards", (context) => {
  const path = temporary(context);
  const first = openStateFolder(path);
  assert.throws(
    () => openStateFolder(path),
    (error: unknown) => {
      assert.equal((error as { code: string }).code, "GODWIT_STATE_LOCKED");
      assert.match((error as Error).message, new RegExp(String(process.pid)));
      return true;
    },
  );
  first.release();
  openStateFolder(path).release();
});

test("the lock of an agent that was killed is gone", async (context) => {
  const path = temporary(context);
  const module = new URL("./state-folder.ts", import.meta.url).href;
  const child = spawn(
    process.execPath,
    [
      "--input-type=module",
      "-e",
      `import { openStateFolder } from ${JSON.stringify(module)};
       openStateFolder(${JSON.stringify(path)}); console.log("locked"); setInterval(() => {}, 1000);`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  context.after(() => child.kill("SIGKILL"));
  await once(child.stdout!, "data");
  assert.throws(() => openStateFolder(path), { code: "GODWIT_STATE_LOCKED" });
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
  openStateFolder(path).release();
});

test("a folder that can't be made is refused with advice", (context) => {
  const file = join(temporary(context), "file");
  writeFileSync(file, "");
  assert.throws(() => openStateFolder(join(file, "state")), { code: "GODWIT_STATE_FOLDER" });
});
