import { doctorReportSchema, hostInfoSchema } from "../schemas.ts";
import { type Api, type ApiContext, errorResponses } from "./context.ts";

/** `/v1/host` and `/v1/doctor`. */
export function hostRoutes(api: Api, context: ApiContext): void {
  api.get(
    "/v1/host",
    {
      schema: {
        operationId: "getHost",
        summary: "The host and its agent",
        response: { 200: hostInfoSchema, ...errorResponses },
      },
    },
    () => context.hostInfo(),
  );
  api.get(
    "/v1/doctor",
    {
      schema: {
        operationId: "getDoctor",
        summary: "Check whether this host can do its work",
        response: { 200: doctorReportSchema, ...errorResponses },
      },
    },
    () => context.doctor(),
  );
}
