import { z } from "zod";
import { migrationEventSchema, phaseNames } from "../migration/events.ts";
import { outcomeNames, reportSchema } from "../migration/report.ts";
import { migrationSettingsSchema } from "../migration/settings.ts";
import { ownerNames } from "../migration/source/operator-word.ts";
import { machineStates } from "./machine-state.ts";

for (const [id, schema] of [
  ["MigrationEvent", migrationEventSchema],
  ["MigrationReport", reportSchema],
  ["MigrationSettings", migrationSettingsSchema],
] as const) {
  if (!z.globalRegistry.has(schema)) z.globalRegistry.add(schema, { id });
}

/** A name that is safe as a folder, in a URL and on QEMU's command line. */
export const machineNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** An identifier of a migration: made by the source's agent, used as a folder's name by both. */
export const migrationIdPattern = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/;

/** A host's name or address, as it may stand in a request. */
const hostPattern = /^[A-Za-z0-9.:_-]{1,253}$/;

/** Every error of the API has this body. */
export const errorBodySchema = z
  .object({
    code: z.string().describe("stable, begins with GODWIT_"),
    message: z.string(),
    side: z.enum(["source", "destination", "local"]).optional(),
    phase: z.string().optional(),
    vmState: z.string().optional().describe("what the VM does now"),
    advice: z.string().optional().describe("what to do"),
  })
  .meta({ id: "Error" });

/** A VM as the agent tells others about it. */
export const machineInfoSchema = z
  .object({
    name: z.string(),
    state: z.enum(machineStates),
    since: z.string().describe("when it came into that state, ISO 8601"),
    memoryBytes: z.number(),
    vcpus: z.number().int(),
    accelerator: z.string(),
    pid: z.number().int().nullable(),
    qemuVersion: z.string().nullable(),
    logPath: z.string().nullable().describe("QEMU's log on the agent's host"),
    movedTo: z.string().nullable().describe("the host that a departed VM went to"),
    reason: z.string().nullable().describe("why it is in that state"),
    migrationId: z.string().nullable().describe("the migration that has it now"),
    warnings: z.array(z.string()).describe("what works but may not end as expected, with advice"),
  })
  .meta({ id: "Machine" });

/** A VM as the agent tells others about it. */
export type MachineInfo = z.infer<typeof machineInfoSchema>;

/** The host and its agent. */
export const hostInfoSchema = z
  .object({
    name: z.string(),
    version: z.string(),
    node: z.string(),
    pid: z.number().int(),
    startedAt: z.string(),
    apiPort: z.number().int(),
    wirePort: z.number().int(),
    memoryTotalBytes: z.number(),
    memoryAvailableBytes: z.number(),
    processors: z.number().int(),
    machines: z.number().int(),
    activeMigrations: z.number().int(),
  })
  .meta({ id: "Host" });

/** The host and its agent. */
export type HostInfo = z.infer<typeof hostInfoSchema>;

/** Where a migration shall go. */
export const destinationInputSchema = z
  .object({
    host: z.string().regex(hostPattern, "not a host name or address"),
    port: z
      .number()
      .int()
      .min(1)
      .max(65_535)
      .optional()
      .describe("the other agent's wire port, 7481 if absent"),
    name: z
      .string()
      .regex(hostPattern, "not a host name")
      .optional()
      .describe("the name in the other agent's certificate, the host if absent"),
  })
  .meta({ id: "Destination" });

/** The body of a request to migrate. */
export const migrationRequestSchema = z
  .object({
    machine: z.string().regex(machineNamePattern, "not a VM's name"),
    destination: destinationInputSchema,
    settings: migrationSettingsSchema.optional(),
  })
  .meta({ id: "MigrationRequest" });

/** The body of a request to migrate. */
export type MigrationRequest = z.input<typeof migrationRequestSchema>;

/** A migration of either direction as the agent lists it. */
export const migrationInfoSchema = z
  .object({
    id: z.string(),
    machine: z.string(),
    direction: z.enum(["outgoing", "incoming"]),
    peer: z.string().describe("the other host"),
    startedAt: z.string(),
    active: z.boolean().describe("this agent is at work on it"),
    phase: z.enum(phaseNames).nullable(),
    outcome: z.enum(outcomeNames).nullable().describe("null while it is active or when its agent died"),
  })
  .meta({ id: "Migration" });

/** A migration of either direction as the agent lists it. */
export type MigrationInfo = z.infer<typeof migrationInfoSchema>;

/** What a request to cancel came to. */
export const cancelResultSchema = z
  .object({
    result: z
      .enum(["cancelled", "too-late"])
      .describe("too-late: the commit was sent, the destination has the VM"),
  })
  .meta({ id: "CancelResult" });

/** What a request to cancel came to. */
export type CancelResult = z.infer<typeof cancelResultSchema>;

/** An operator's word on a VM in doubt. */
export const decisionSchema = z
  .object({
    owner: z
      .enum(ownerNames)
      .describe("here: the destination never ran it and never will; there: it is the destination's"),
  })
  .meta({ id: "Decision" });

/** How one check of `godwit doctor` came out. */
export const findingSchema = z
  .object({
    check: z.string(),
    status: z.enum(["ok", "warn", "fail"]),
    message: z.string(),
    advice: z.string().optional(),
  })
  .meta({ id: "Finding" });

/** How one check of `godwit doctor` came out. */
export type Finding = z.infer<typeof findingSchema>;

/** All findings of `godwit doctor`. */
export const doctorReportSchema = z
  .object({ host: z.string(), status: z.enum(["ok", "warn", "fail"]), findings: z.array(findingSchema) })
  .meta({ id: "DoctorReport" });

/** All findings of `godwit doctor`. */
export type DoctorReport = z.infer<typeof doctorReportSchema>;

/** What was read out of a physical machine's devices, by device; see docs/metal.md. */
export const capturedDevicesSchema = z.object({
  format: z.literal(1),
  /** By the device's key, such as `i8259` or `rtl8139@3.0`. */
  devices: z.record(z.string(), z.unknown()),
  /** What the monitor knows of it. */
  shadows: z.record(z.string(), z.unknown()),
});

/** What was read out of a physical machine's devices. */
export type CapturedDevices = z.infer<typeof capturedDevicesSchema>;
