import type { FastifyError, FastifyInstance } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { asGodwitError, type ErrorRecord, GodwitError } from "../../base/errors.ts";

const STATUS: Readonly<Record<string, number>> = {
  GODWIT_BAD_REQUEST: 400,
  GODWIT_BAD_QUANTITY: 400,
  GODWIT_MACHINE_FILE: 400,
  GODWIT_API_UNKNOWN: 404,
  GODWIT_VM_UNKNOWN: 404,
  GODWIT_MIGRATION_UNKNOWN: 404,
  GODWIT_MIGRATION_NO_REPORT: 404,
  GODWIT_REQUEST_TIMEOUT: 408,
  GODWIT_VM_BUSY: 409,
  GODWIT_VM_STATE: 409,
  GODWIT_VM_EXISTS: 409,
  GODWIT_MIGRATION_ACTIVE: 409,
  GODWIT_MIGRATION_OVER: 409,
  GODWIT_NOT_IN_DOUBT: 409,
  GODWIT_NOT_SOURCE: 409,
  GODWIT_REQUEST_TOO_LARGE: 413,
  GODWIT_MEDIA_TYPE: 415,
  GODWIT_AGENT_ENDING: 503,
};

/** Fastify's own errors in our words. */
const FASTIFY: Readonly<Record<string, `GODWIT_${string}`>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "GODWIT_REQUEST_TOO_LARGE",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "GODWIT_MEDIA_TYPE",
};

/** The HTTP status that goes with an error; 500 for whatever the request is not to blame for. */
export function statusOf(error: GodwitError): number {
  if (error.code.startsWith("GODWIT_TLS_")) return 403;
  return STATUS[error.code] ?? 500;
}

/** Makes every error of the API, ours and Fastify's, one body with a fitting status. */
export function installErrors(api: FastifyInstance): void {
  api.setNotFoundHandler((request, reply) => {
    const error = new GodwitError("GODWIT_API_UNKNOWN", `there is no ${request.method} ${request.url}`, {
      side: "local",
      advice: "GET /openapi.json lists what there is",
    });
    return reply.code(404).send(error.toJSON());
  });
  api.setErrorHandler((thrown: FastifyError, request, reply) => {
    const error = explain(thrown);
    const status = statusOf(error);
    if (status === 500) request.log.error({ err: thrown }, "request failed");
    return reply
      .code(status)
      .type("application/json")
      .send(error.toJSON() satisfies ErrorRecord);
  });
}

function explain(thrown: FastifyError): GodwitError {
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const issues = thrown.validation.map((issue) => {
      const at = issue.instancePath.replace(/^\//, "").replaceAll("/", ".");
      return `${at === "" ? "" : `${at}: `}${issue.message ?? "not valid"}`;
    });
    return new GodwitError("GODWIT_BAD_REQUEST", issues.join("; "), {
      side: "local",
      advice: "see the schemas in /openapi.json",
    });
  }
  const known = FASTIFY[thrown.code];
  if (known !== undefined) return asGodwitError(thrown, known, { side: "local" });
  const blamed = thrown.statusCode !== undefined && thrown.statusCode < 500;
  return asGodwitError(thrown, blamed ? "GODWIT_BAD_REQUEST" : "GODWIT_INTERNAL", { side: "local" });
}
