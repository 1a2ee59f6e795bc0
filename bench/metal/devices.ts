import { z } from "zod";
import { appendToRunLog, pendingRuns, readRunLog } from "../../src/lab/run-log.ts";
import { qemuVersions } from "../../src/lab/toolchain.ts";
import { BareMetal } from "../../src/metal/index.ts";
import type { OpaqueDevices, RebuildDevices } from "../../src/migration/opaque-devices.ts";
import type { RunningMachine } from "../../src/qemu/running-machine.ts";
import { decodeDeviceSection } from "../../src/stream/index.ts";
import { DeviceOracle, flatFields } from "../../test/support/device-oracle.ts";
import { booted, forwardedPort, GuestStream, metalMachine } from "../../test/support/metal-guest.ts";
import { Pair } from "../../test/support/pair.ts";
import { reasonFor } from "./difference-reasons.ts";
import { type Part, resultsOf, say } from "./part.ts";

const REPEATS = 3;

const cells = [
  { name: "rtl8139, 8259A", qemu: "10.0", nic: "rtl8139", append: "noapic nolapic", vcpus: 1 },
  { name: "rtl8139, APIC, 2 processors", qemu: "10.0", nic: "rtl8139", append: "", vcpus: 2 },
  { name: "pcnet, 8259A", qemu: "10.0", nic: "pcnet", append: "noapic nolapic", vcpus: 1 },
  { name: "e1000, 8259A", qemu: "10.0", nic: "e1000", append: "noapic nolapic", vcpus: 1 },
  { name: "rtl8139, 8259A, QEMU 7.2", qemu: "7.2", nic: "rtl8139", append: "noapic nolapic", vcpus: 1 },
] as const;

const path = resultsOf("devices");
const lineSchema = z.strictObject({
  cell: z.string(),
  /** By section of QEMU's: how many fields it has, and those that are not what they were. */
  sections: z.record(
    z.string(),
    z.strictObject({
      fields: z.int(),
      differences: z.array(
        z.strictObject({ field: z.string(), source: z.string(), destination: z.string() }),
      ),
    }),
  ),
  /** The moved guest sent 200 more lines of its stream, each the next one. */
  alive: z.boolean(),
});

type Line = z.output<typeof lineSchema>;
type Fields = ReadonlyMap<string, ReadonlyMap<string, string>>;

const kept = () => readRunLog(path, lineSchema);

/**
 * Whole moves between two machines: QEMU's word on each device of the source as it stands still, before anything was
 * read, beside its word on the destination's when they are rebuilt and the guest has not run yet.
 */
export const devices: Part = {
  name: "devices",

  async run(mayBegin) {
    const keptOf = ({ name }: { name: string }) => kept().filter(({ cell }) => cell === name).length;
    const versions = qemuVersions();
    const possible = cells.filter(({ qemu }) => versions.includes(qemu));
    for (const { cell, repeat } of pendingRuns(possible, () => REPEATS, keptOf)) {
      if (!mayBegin()) return;
      const line = await compare(cell);
      appendToRunLog(path, line);
      const count = Object.values(line.sections).reduce(
        (sum, { differences }) => sum + differences.length,
        0,
      );
      say(`devices: ${cell.name}, ${repeat}: ${count} fields differ, ${line.alive ? "alive" : "dead"}`);
    }
  },

  draw() {
    const lines = kept();
    if (lines.length === 0) return [];
    return [
      "## Rebuilt devices by QEMU's own word",
      "",
      "Moves between two machines: each field of the sections that stay behind, at the source when the guest stands",
      "still and at the destination before it runs.",
      "",
      "| machine | device | moves | fields | that differed | why |",
      "|---|---|---|---|---|---|",
      ...cells.flatMap(({ name }) => rows(name, lines)),
      "",
    ];
  },
};

async function compare(cell: (typeof cells)[number]): Promise<Line> {
  await using pair = await Pair.open(cell.qemu);
  const machine = await pair.start(pair.a, metalMachine(cell.qemu, cell));
  await booted(machine);
  using stream = await GuestStream.open(await forwardedPort(machine));
  await stream.more(100);
  const oracle = await DeviceOracle.of(machine);
  const real = new BareMetal(machine);
  let source: Fields = new Map();
  let destination: Fields = new Map();
  const opaque: OpaqueDevices = {
    prepare: () => real.prepare(),
    get sections() {
      return real.sections;
    },
    async capture() {
      source = await fieldsOf(oracle, real.sections);
      return real.capture();
    },
    undo: () => real.undo(),
    close: () => real.close(),
  };
  pair.b.rebuilds = (arriving: RunningMachine, rebuild: RebuildDevices) => ({
    async rebuild(state) {
      await rebuild.rebuild(state);
      destination = await fieldsOf(oracle.ofPeer(arriving), real.sections);
    },
    close: () => rebuild.close(),
  });
  const result = pair.b.nextResult();
  const report = await pair.migration(machine, pair.a, pair.b, { metal: {} }, { opaque }).run();
  if (report.outcome !== "completed") throw new Error(`the move failed: ${JSON.stringify(report.error)}`);
  const arrived = (await result).machine!;
  const alive = await GuestStream.open(await forwardedPort(arrived)).then(async (next) => {
    using later = next;
    await later.more(200, 20_000).catch(() => {});
    return later.lines >= 200 && later.torn === null;
  });
  const sections = [...source].map(([section, fields]) => {
    const other = destination.get(section) ?? new Map<string, string>();
    const differences = [...fields]
      .filter(([field, value]) => other.get(field) !== value)
      .map(([field, value]) => ({ field, source: value, destination: other.get(field) ?? "absent" }));
    return [section, { fields: fields.size, differences }] as const;
  });
  return { cell: cell.name, sections: Object.fromEntries(sections), alive };
}

async function fieldsOf(oracle: DeviceOracle, wanted: readonly string[]): Promise<Fields> {
  const sections = (await oracle.sections()).filter(({ idstr }) => wanted.includes(idstr));
  return new Map(
    sections.map((section) => [
      section.instance === 0 ? section.idstr : `${section.idstr} #${section.instance}`,
      flatFields(decodeDeviceSection(section)),
    ]),
  );
}

function rows(cell: string, lines: readonly Line[]): string[] {
  const own = lines.filter((line) => line.cell === cell);
  const sections = new Set(own.flatMap((line) => Object.keys(line.sections)));
  return [...sections].flatMap((section) => {
    const seen = own.flatMap((line) => line.sections[section] ?? []);
    const count = new Map<string, number>();
    for (const { differences } of seen)
      for (const { field } of differences) count.set(field, (count.get(field) ?? 0) + 1);
    const fields = Math.max(...seen.map((one) => one.fields));
    const head = `| ${cell} | ${section} | ${seen.length} | ${fields}`;
    if (count.size === 0) return [`${head} | none | |`];
    const byReason = Map.groupBy(count, ([field]) => reasonFor(section, field));
    return [...byReason].map(([reason, of]) => {
      const names = of.map(([field, times]) => (times === seen.length ? field : `${field} (${times}×)`));
      return `${head} | ${names.join(", ")} | ${reason} |`;
    });
  });
}
