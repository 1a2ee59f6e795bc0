import type { IncomingMessage, ServerResponse } from "node:http";
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { MigrationDesk } from "../migration-desk.ts";
import type { MachineRegistry } from "../registry.ts";
import { type DoctorReport, errorBodySchema, type HostInfo } from "../schemas.ts";

/** What the routes work with. */
export interface ApiContext {
  readonly registry: MachineRegistry<unknown>;
  readonly desk: MigrationDesk<unknown>;
  /** Port of another agent's wire where a request names none. */
  readonly defaultWirePort: number;
  hostInfo(): HostInfo;
  doctor(): Promise<DoctorReport>;
}

/** A Fastify instance whose routes are typed by their zod schemas. */
export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** The answers of every route beside its good one, for the OpenAPI document. */
export const errorResponses = {
  "4xx": errorBodySchema.describe("The request can't be done, and why."),
  "5xx": errorBodySchema.describe("The agent failed, and how."),
} as const;
