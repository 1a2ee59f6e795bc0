import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { HostMachine } from "./host-machine.ts";

/** Ordinary files in place of the host's. */
function files() {
  const folder = mkdtempSync(join(tmpdir(), "godwit-host-"));
  const [ports, memory, window] = ["port", "mem", "resource0"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(ports, Buffer.alloc(0x1_0000));
  writeFileSync(memory, Buffer.alloc(8192));
  writeFileSync(window, Buffer.alloc(256));
  const machine = new HostMachine({
    ports,
    memory,
    windows: [{ path: window, address: 0xfeb0_0000, bytes: 256 }],
  });
  const dispose = () => {
    machine[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  };
  return { machine, ports, memory, window, [Symbol.dispose]: dispose };
}

test("ports, registers and memory go to their places in the host's files", async () => {
  using host = files();
  const { machine } = host;
  await machine.writePort(0x21, 0xfa);
  assert.equal(readFileSync(host.ports)[0x21], 0xfa);
  assert.equal(await machine.readPort(0x21), 0xfa);
  await machine.writeRegister(0xfeb0_003c, 0x15, 2);
  assert.equal(readFileSync(host.window).readUInt16LE(0x3c), 0x15);
  assert.equal(await machine.readRegister(0xfeb0_003c, 4), 0x15);
  await machine.writeMemory(4096, Buffer.from("descriptor"));
  assert.equal((await machine.readMemory(4096, 10)).toString(), "descriptor");
});

test("what files can't do is said, and nothing is guessed", async () => {
  using host = files();
  const { machine } = host;
  const refused = { code: "GODWIT_METAL_ACCESS" };
  await assert.rejects(machine.readPort(0xcf8, 4), refused);
  await assert.rejects(machine.readRegister(0xfeb0_00fe, 4), refused);
  await assert.rejects(machine.readMemory(8190, 4), refused);
  for (const call of [() => machine.stop(), () => machine.go(), () => machine.guestWrites()]) {
    await assert.rejects(call(), refused);
  }
  assert.throws(() => new HostMachine({ ports: "/nowhere", memory: "/nowhere", windows: [] }), refused);
});
