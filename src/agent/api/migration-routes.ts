import { z } from "zod";
import { reportSchema } from "../../migration/report.ts";
import { migrationSettingsSchema } from "../../migration/settings.ts";
import {
  cancelResultSchema,
  decisionSchema,
  migrationIdPattern,
  migrationInfoSchema,
  migrationRequestSchema,
} from "../schemas.ts";
import { type Api, type ApiContext, errorResponses } from "./context.ts";

const idParameter = z.object({ id: z.string().regex(migrationIdPattern, "not a migration's id") });

/** `/v1/migrations` without the event stream. */
export function migrationRoutes(api: Api, { desk, defaultWirePort }: ApiContext): void {
  api.get(
    "/v1/migrations",
    {
      schema: {
        operationId: "listMigrations",
        summary: "Every migration of this host, of both directions, newest first",
        response: { 200: z.array(migrationInfoSchema), ...errorResponses },
      },
    },
    () => desk.list(),
  );
  api.post(
    "/v1/migrations",
    {
      schema: {
        operationId: "startMigration",
        summary: "Begin to move a VM to another host",
        body: migrationRequestSchema,
        response: { 202: migrationInfoSchema, ...errorResponses },
      },
    },
    async ({ body }, reply) => {
      const { host, port, name } = body.destination;
      const destination = { host, port: port ?? defaultWirePort, name: name ?? host };
      const settings = body.settings ?? migrationSettingsSchema.parse({});
      return reply.code(202).send(desk.start(body.machine, destination, settings));
    },
  );
  api.get(
    "/v1/migrations/:id",
    {
      schema: {
        operationId: "getMigration",
        summary: "One migration",
        params: idParameter,
        response: { 200: migrationInfoSchema, ...errorResponses },
      },
    },
    ({ params }) => desk.show(params.id),
  );
  api.get(
    "/v1/migrations/:id/report",
    {
      schema: {
        operationId: "getMigrationReport",
        summary: "The report of a migration that has ended",
        params: idParameter,
        response: { 200: reportSchema, ...errorResponses },
      },
    },
    ({ params }) => desk.report(params.id),
  );
  api.post(
    "/v1/migrations/:id/cancel",
    {
      schema: {
        operationId: "cancelMigration",
        summary: "Ask a migration to stop before its commit",
        params: idParameter,
        response: { 200: cancelResultSchema, ...errorResponses },
      },
    },
    async ({ params }) => ({ result: await desk.cancel(params.id, "cancelled by request") }),
  );
  api.post(
    "/v1/migrations/:id/resolve",
    {
      schema: {
        operationId: "resolveMigration",
        summary: "Decide who has a VM in doubt, for a destination that will not answer any more",
        params: idParameter,
        body: decisionSchema,
        response: { 200: migrationInfoSchema, ...errorResponses },
      },
    },
    ({ params, body }) => desk.resolve(params.id, body.owner),
  );
}
