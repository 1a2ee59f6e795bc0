import { BareMetal, BareMetalRebuild, undoLeftCapture } from "../metal/index.ts";
import { DestinationMigration } from "../migration/destination.ts";
import { recoverMigrations } from "../migration/recover.ts";
import { migrationSettingsSchema, type RebuildPart } from "../migration/settings.ts";
import { SourceMigration } from "../migration/source.ts";
import { parseMachine } from "../qemu/machine.ts";
import type { RunningMachine } from "../qemu/running-machine.ts";
import { startMachine } from "../qemu/start.ts";
import type { AgentParts, AgentSurroundings } from "./agent.ts";
import { examineHost } from "./doctor/doctor.ts";
import { describeMachine, machineHandle, qemuDriver } from "./qemu-driver.ts";
import { verdictOf } from "./verdict.ts";
import { softwareVersion } from "./version.ts";

/** The parts of an agent that really starts QEMUs and really moves them. */
export function realParts({ config, credentials }: AgentSurroundings): AgentParts<RunningMachine> {
  const binary = config.qemu === undefined ? {} : { qemu: config.qemu };
  const { from, to } = config.bulkPorts;
  return {
    driver: qemuDriver(binary),
    describe: (machine) => describeMachine(parseMachine(machine)),
    handleOf: machineHandle,
    verdict: verdictOf,
    outgoing: (request) =>
      new SourceMigration({
        ...request,
        ...(request.settings.metal === undefined ? {} : { opaque: new BareMetal(request.machine) }),
        credentials,
        hostName: config.name,
        softwareVersion,
        bulkListen: { host: config.listen, ...(from === 0 ? {} : { ports: [from, to] as const }) },
      }),
    incoming: ({ channel, offer, remoteAddress, folder, machineFolder, arrived }) => {
      const migration = new DestinationMigration({
        channel,
        offer,
        sourceHost: remoteAddress,
        credentials,
        hostName: config.name,
        folder,
        machineFolder,
        arrived,
        rebuild: (machine) => new BareMetalRebuild(machine, leftOut(offer.settings)),
        startMachine: (signal) =>
          startMachine(parseMachine(offer.machine), {
            stateFolder: machineFolder,
            incoming: "defer",
            paused: true,
            signal,
            ...binary,
          }),
      });
      return {
        onEvent: (listener) => migration.onEvent(listener),
        cancel: (reason) => migration.cancel(reason),
        async run() {
          const { outcome, machine, error } = await migration.run();
          if (outcome === "running" && error !== null) return { outcome: "in-doubt", error, machine };
          if (outcome === "running" && machine !== null) return { outcome: "arrived", machine };
          return { outcome: "failed", error: error! };
        },
      };
    },
    recover: (request) =>
      recoverMigrations({
        ...request,
        credentials,
        hostName: config.name,
        softwareVersion,
        undoOpaque: undoLeftCapture,
      }),
    doctor: ({ apiPort, wirePort, machines }) =>
      examineHost({
        name: config.name,
        stateFolder: config.stateFolder,
        ...binary,
        certificates: config.certificates,
        listen: config.listen,
        ports: { api: apiPort, wire: wirePort, bulk: config.bulkPorts },
        agentRuns: true,
        machines,
      }),
  };
}

/** What an experiment wants to see left out of the rebuilding of devices. */
function leftOut(settings: unknown): ReadonlySet<RebuildPart> {
  return new Set(migrationSettingsSchema.parse(settings).metal?.leaveOut ?? []);
}
