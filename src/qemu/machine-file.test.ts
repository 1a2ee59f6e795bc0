import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { parseMachine } from "./machine.ts";
import { MachineFileError, parseMachineFile, readMachineFile } from "./machine-file.ts";
import { machineWarnings } from "./machine-warnings.ts";

const MINIMAL = "name: web-1\nmemory: 520MiB\n";

const FULL = `
name: web-1
memory: 2105352KiB
vcpus: 4
machine: pc-q35-7.2
accelerator: kvm
cpu: Nehalem,+aes
hpet: true
kernel: boot/vmlinuz
initrd: boot/initrd.img
append: console=ttyS0 quiet
disks:
  - { path: images/root.qcow2, format: qcow2, serial: root }
  - { path: /srv/data.img, format: raw, readOnly: true, cache: writeback, id: data }
nics:
  - backend: { kind: tap, interface: tap0 }
  - { model: e1000, mac: "52:54:00:AB:CD:EF", backend: { kind: user, hostForward: ["tcp:127.0.0.1:2222-:22"] } }
  - { model: rtl8139, backend: { kind: netdev, options: "socket,connect=127.0.0.1:9000" } }
  - backend: { kind: none }
memoryBackend: { kind: file }
serial: none
channels: [{ name: org.godwit.lab.0 }]
vga: std
extraArguments: ["-device", "virtio-rng-pci,addr=0x1c"]
`;

test("the least that a machine needs gets every default", () => {
  const machine = parseMachineFile(MINIMAL);
  assert.deepEqual(machine, {
    name: "web-1",
    memoryBytes: 520 * 1024 ** 2,
    vcpus: 1,
    machine: "pc",
    accelerator: "tcg",
    cpu: "qemu64",
    hpet: true,
    disks: [],
    nics: [],
    memoryBackend: { kind: "private" },
    serial: "file",
    channels: [],
    freePages: "auto",
    doorbell: false,
    vga: "none",
    extraArguments: [],
  });
});

test("every key is read, and relative paths are relative to the file", () => {
  const folder = mkdtempSync(join(tmpdir(), "godwit-machine-"));
  writeFileSync(join(folder, "web.yaml"), FULL);
  const machine = readMachineFile(join(folder, "web.yaml"));
  rmSync(folder, { recursive: true });
  assert.equal(machine.kernel, join(folder, "boot/vmlinuz"));
  assert.equal(machine.initrd, join(folder, "boot/initrd.img"));
  assert.deepEqual(
    machine.disks.map((disk) => disk.path),
    [join(folder, "images/root.qcow2"), "/srv/data.img"],
  );
  assert.deepEqual(machine.memoryBackend, { kind: "file", directory: "/dev/shm" });
  assert.equal(machine.nics[1]?.mac, "52:54:00:ab:cd:ef");
});

test("the HPET is on under TCG and off under KVM unless the file says otherwise", () => {
  const hpet = (yaml: string) => parseMachineFile(`${MINIMAL}${yaml}`).hpet;
  assert.deepEqual([hpet("accelerator: tcg"), hpet("accelerator: kvm")], [true, false]);
  assert.deepEqual([hpet("hpet: false"), hpet("accelerator: kvm\nhpet: true")], [false, true]);
});

test("a MAC address that is not given follows from the machine's name and the NIC's number alone", () => {
  const [first, , third] = parseMachineFile(FULL).nics;
  assert.match(first?.mac ?? "", /^52:54:00(:[0-9a-f]{2}){3}$/);
  assert.notEqual(first?.mac, third?.mac);
  assert.equal(parseMachineFile(FULL).nics[0]?.mac, first?.mac);
  assert.notEqual(parseMachineFile(FULL.replace("web-1", "web-2")).nics[0]?.mac, first?.mac);
});

test("a machine goes through JSON and comes back the same", () => {
  const machine = parseMachineFile(FULL);
  assert.deepEqual(parseMachine(JSON.parse(JSON.stringify(machine))), machine);
});

test("a machine from elsewhere is checked as strictly as a file", () => {
  const machine = parseMachineFile(FULL);
  for (const wrong of [
    null,
    { ...machine, memoryBytes: 5 },
    { ...machine, kernel: "vmlinuz" },
    { ...machine, extraArguments: ["-daemonize"] },
    { ...machine, surprise: 1 },
  ]) {
    assert.throws(() => parseMachine(wrong), { code: "GODWIT_MACHINE" });
  }
});

const NONSENSE: readonly [what: string, yaml: string, line: number, path: string, says: RegExp][] = [
  ["a name with a slash", "name: ../x\nmemory: 64MiB", 1, "name", /"\.\.\/x".*allowed are/],
  ["no name", "memory: 64MiB", 1, "name", /missing/],
  ["no memory", "name: a", 1, "memory", /missing.*512MiB/],
  ["memory without a unit", "name: a\nmemory: 512", 2, "memory", /512.*with its unit/],
  ["memory in parsecs", "name: a\nmemory: 5 parsecs", 2, "memory", /"5 parsecs".*512MiB/],
  ["too little memory", "name: a\nmemory: 64KiB", 2, "memory", /at least 8 MiB/],
  ["too much memory", "name: a\nmemory: 2TiB", 2, "memory", /at most 1 TiB/],
  ["memory that QEMU would round", "name: a\nmemory: 65537KiB", 2, "memory", /multiple of 8 KiB/],
  ["no vCPU", `${MINIMAL}vcpus: 0`, 3, "vcpus", /0: .*1/],
  ["half a vCPU", `${MINIMAL}vcpus: 1.5`, 3, "vcpus", /1\.5: .*int/],
  ["a vCPU in words", `${MINIMAL}vcpus: two`, 3, "vcpus", /"two": expected/],
  ["an unknown key", `${MINIMAL}colour: red`, 3, "colour", /unknown key colour; known are .*memory/],
  ["an unknown machine", `${MINIMAL}machine: isapc`, 3, "machine", /"isapc": allowed are pc, q35/],
  ["another accelerator", `${MINIMAL}accelerator: xen`, 3, "accelerator", /"tcg"\|"kvm"/],
  [
    "a doorbell's list without one",
    `${MINIMAL}freePages: held-locks`,
    3,
    "freePages",
    /needs doorbell: true/,
  ],
  ["an initrd alone", `${MINIMAL}initrd: x`, 3, "initrd", /needs a kernel/],
  [
    "a disk without a format",
    `${MINIMAL}disks:\n  - path: x`,
    4,
    "disks.0.format",
    /missing.*"raw"\|"qcow2"/,
  ],
  ["a disk as text", `${MINIMAL}disks:\n  - x.img`, 4, "disks.0", /expected object/],
  ["disks as a map", `${MINIMAL}disks: {a: b}`, 3, "disks", /expected array/],
  [
    "a disk key",
    `${MINIMAL}disks:\n  - {path: x, format: raw, size: 1}`,
    4,
    "disks.0.size",
    /known are path/,
  ],
  ["a NIC without a backend", `${MINIMAL}nics:\n  - model: e1000`, 4, "nics.0.backend", /missing/],
  ["an unknown backend", `${MINIMAL}nics:\n  - backend: {kind: bridge}`, 4, "nics.0.backend.kind", /"tap"/],
  [
    "a tap without its name",
    `${MINIMAL}nics: [{backend: {kind: tap}}]`,
    3,
    "nics.0.backend.interface",
    /missing/,
  ],
  [
    "a long interface",
    `${MINIMAL}nics: [{backend: {kind: tap, interface: abcdefghijklmnop}}]`,
    3,
    "nics.0.backend.interface",
    /15/,
  ],
  [
    "a wrong MAC",
    `${MINIMAL}nics:\n- backend: {kind: none}\n  mac: "52:54"`,
    5,
    "nics.0.mac",
    /not a MAC address/,
  ],
  [
    "a multicast MAC",
    `${MINIMAL}nics:\n- backend: {kind: none}\n  mac: "01:00:00:00:00:01"`,
    5,
    "nics.0.mac",
    /multicast/,
  ],
  [
    "a host forward in words",
    `${MINIMAL}nics: [{backend: {kind: user, hostForward: [ssh]}}]`,
    3,
    "nics.0.backend.hostForward.0",
    /tcp:/,
  ],
  [
    "a netdev with an id",
    `${MINIMAL}nics: [{backend: {kind: netdev, options: "user,id=x"}}]`,
    3,
    "nics.0.backend.options",
    /id=/,
  ],
  [
    "two disks of one id",
    `${MINIMAL}disks: [{path: a, format: raw, id: disk1}, {path: b, format: raw}]`,
    3,
    "disks.1.id",
    /same as disks\.0/,
  ],
  [
    "two NICs on one tap",
    `${MINIMAL}nics: [{backend: {kind: tap, interface: t}}, {backend: {kind: tap, interface: t}}]`,
    3,
    "nics.1.backend",
    /same as/,
  ],
  ["two channels of one name", `${MINIMAL}channels: [{name: a}, {name: a}]`, 3, "channels.1.name", /same as/],
  ["the monitor's option", `${MINIMAL}extraArguments: ["-qmp", "stdio"]`, 3, "extraArguments.0", /monitors/],
  [
    "daemonize with two dashes",
    `${MINIMAL}extraArguments: ["--daemonize"]`,
    3,
    "extraArguments.0",
    /detaches/,
  ],
  [
    "incoming",
    `${MINIMAL}extraArguments: ["-incoming", "tcp:0:1"]`,
    3,
    "extraArguments.0",
    /waits for a migration/,
  ],
  ["a number as an argument", `${MINIMAL}extraArguments: [5]`, 3, "extraArguments.0", /expected string/],
  ["nothing", "", 1, "", /expected object/],
  ["a list", "- a", 1, "", /expected object/],
  ["a word", "hello", 1, "", /expected object/],
  ["a key twice", "name: a\nname: b\nmemory: 64MiB", 2, "", /unique/],
  ["an open bracket", "name: [", 1, "", /\]/],
  ["a tag of another language", "name: !!js/function x", 1, "", /tag/],
];

for (const [what, yaml, line, path, says] of NONSENSE) {
  test(`nonsense is named with its place: ${what}`, () => {
    assert.throws(
      () => parseMachineFile(yaml, { fileName: "x.yaml" }),
      (error: unknown) => {
        assert.ok(error instanceof MachineFileError);
        assert.equal(error.code, "GODWIT_MACHINE_FILE");
        assert.match(error.message, /^x\.yaml/);
        const problem = error.problems.find((candidate) => candidate.path === path);
        assert.ok(problem, `no problem at "${path}" but at ${error.problems.map(({ path }) => path)}`);
        assert.match(problem.message, says);
        assert.equal(problem.line, line);
        return true;
      },
    );
  });
}

test("several things wrong are told at once, in the order of their lines", () => {
  const yaml = "name: a b\nmemory: 1\nvcpus: 999\nvga: cga\n";
  assert.throws(
    () => parseMachineFile(yaml),
    (error: MachineFileError) => {
      assert.deepEqual(
        error.problems.map(({ path }) => path),
        ["name", "memory", "vcpus", "vga"],
      );
      return true;
    },
  );
});

test("a file that is missing, too long, full of aliases or very deep is an error like any other", () => {
  const bomb = Array.from({ length: 12 }, (_, level) => {
    const below = level === 0 ? "x" : `*a${level - 1}`;
    return `a${level}: &a${level} [${Array(10).fill(below).join(", ")}]`;
  }).join("\n");
  const code = "GODWIT_MACHINE_FILE";
  assert.throws(() => readMachineFile("/no/such/file.yaml"), { code });
  assert.throws(() => parseMachineFile("#".repeat(300_000)), { code });
  assert.throws(() => parseMachineFile(bomb), { code });
  assert.throws(() => parseMachineFile(`name: &a [*a]\nmemory: *a`), { code });
  assert.throws(() => parseMachineFile("[".repeat(50_000)), { code });
});

test("whatever text it is given, a machine or an error of ours comes out", () => {
  const lines = fc.constantFrom(...FULL.split("\n").filter((line) => line !== ""));
  const mutated = fc
    .array(fc.oneof(lines, fc.string(), fc.json()), { maxLength: 12 })
    .map((parts) => parts.join("\n"));
  fc.assert(
    fc.property(mutated, (text) => {
      try {
        parseMachine(parseMachineFile(text));
      } catch (error) {
        assert.ok(error instanceof MachineFileError, String(error));
      }
    }),
  );
});

test("warnings name what works but may surprise", () => {
  const codes = (yaml: string, version?: { major: number; minor: number; micro: number }) =>
    machineWarnings(parseMachineFile(yaml), version).map(({ code }) => code);
  const odd = "name: a\nmemory: 262152KiB\nkernel: k\n";
  assert.deepEqual(codes(odd), []);
  const even = "name: a\nmemory: 256MiB\nkernel: k\n";
  assert.deepEqual(codes(even), ["tcg-loses-dirty-pages"]);
  assert.deepEqual(codes(even, { major: 7, minor: 2, micro: 22 }), ["tcg-loses-dirty-pages"]);
  assert.deepEqual(codes(even, { major: 10, minor: 0, micro: 2 }), []);
  assert.deepEqual(codes(odd, { major: 7, minor: 2, micro: 22 }), []);
  assert.deepEqual(codes(odd, { major: 10, minor: 0, micro: 2 }), ["tcg-loses-dirty-pages"]);
  assert.deepEqual(codes(`${odd}accelerator: kvm`, { major: 10, minor: 0, micro: 2 }), []);
  assert.deepEqual(codes(`${even}accelerator: kvm`), []);
  assert.deepEqual(codes("name: a\nmemory: 262152KiB"), ["nothing-to-boot"]);
  assert.deepEqual(codes(`${odd}disks: [{path: x, format: raw, cache: writeback}]`), [
    "cached-writable-disk",
  ]);
  assert.deepEqual(codes(`${odd}cpu: host`), ["unportable-cpu"]);
  assert.deepEqual(codes(`${odd}nics: [{backend: {kind: user}}]`), ["user-network-does-not-move"]);
  assert.deepEqual(codes(`${odd}extraArguments: ["-device", "virtio-rng-pci"]`), ["unplaced-device"]);
});
