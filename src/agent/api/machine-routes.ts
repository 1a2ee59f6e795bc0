import { z } from "zod";
import { capturedDevicesSchema, machineInfoSchema, machineNamePattern } from "../schemas.ts";
import { type Api, type ApiContext, errorResponses } from "./context.ts";

const nameParameter = z.object({ name: z.string().regex(machineNamePattern, "not a VM's name") });

const machineFileBody = z
  .union([z.string(), z.looseObject({ name: z.string() })])
  .describe("a machine file, as YAML text or as the same in JSON; see docs/machine-file.md");

/** `/v1/machines`: the VMs of this host. */
export function machineRoutes(api: Api, { registry }: ApiContext): void {
  api.get(
    "/v1/machines",
    {
      schema: {
        operationId: "listMachines",
        summary: "Every VM of this host",
        response: { 200: z.array(machineInfoSchema), ...errorResponses },
      },
    },
    () => registry.list(),
  );
  api.post(
    "/v1/machines",
    {
      schema: {
        operationId: "startMachine",
        summary: "Start the VM that a machine file describes",
        consumes: ["application/yaml", "application/json"],
        querystring: z.object({
          baseFolder: z
            .string()
            .startsWith("/")
            .max(4096)
            .default("/")
            .describe("folder on the agent's host that relative paths in the file are relative to"),
        }),
        body: machineFileBody,
        response: { 201: machineInfoSchema, ...errorResponses },
      },
    },
    async ({ body, query }, reply) => {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const machine = await registry.start(text, query.baseFolder);
      return reply.code(201).send(machine);
    },
  );
  api.get(
    "/v1/machines/:name",
    {
      schema: {
        operationId: "getMachine",
        summary: "One VM",
        params: nameParameter,
        response: { 200: machineInfoSchema, ...errorResponses },
      },
    },
    ({ params }) => registry.show(params.name),
  );
  api.post(
    "/v1/machines/:name/stop",
    {
      schema: {
        operationId: "stopMachine",
        summary: "End a VM's QEMU",
        params: nameParameter,
        response: { 200: machineInfoSchema, ...errorResponses },
      },
    },
    async ({ params }) => await registry.stop(params.name),
  );
  api.post(
    "/v1/machines/:name/devices",
    {
      schema: {
        operationId: "captureDevices",
        summary: "What can be read out of a physical machine's devices; it is held for a moment",
        params: nameParameter,
        response: { 200: capturedDevicesSchema, ...errorResponses },
      },
    },
    async ({ params }) => capturedDevicesSchema.parse(await registry.captureDevices(params.name)),
  );
  api.delete(
    "/v1/machines/:name",
    {
      schema: {
        operationId: "deleteMachine",
        summary: "Forget a VM that does not run here, with its folder",
        params: nameParameter,
        response: { 204: z.undefined().describe("forgotten"), ...errorResponses },
      },
    },
    async ({ params }, reply) => {
      registry.remove(params.name);
      return reply.code(204).send();
    },
  );
}
