import { constants } from "node:crypto";
import type { ServerOptions } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import swagger from "@fastify/swagger";
import fastify from "fastify";
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from "fastify-type-provider-zod";
import type { Logger } from "pino";
import { GodwitError } from "../../base/errors.ts";
import { authorizePeer, type Credentials, serverOptions } from "../../wire/index.ts";
import type { Api, ApiContext } from "./context.ts";
import { installErrors } from "./errors.ts";
import { eventRoutes } from "./event-routes.ts";
import { hostRoutes } from "./host-routes.ts";
import { machineRoutes } from "./machine-routes.ts";
import { migrationRoutes } from "./migration-routes.ts";

/** A machine file is a page of text; 256 KiB leaves room for long lists of arguments. */
const BODY_LIMIT_BYTES = 256 * 1024;

/** A request is a few KiB: who needs longer than 10 s to send it, hangs. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Clients at once: people, a dashboard, the lab. More are a defect or an attack. */
const MAX_CONNECTIONS = 256;

/**
 * The HTTPS API of an agent. Every request must come with a certificate of our authority, a host's or an
 * operator's; others get 403 with the reason before anything of theirs is read.
 */
export async function createApi(options: {
  context: ApiContext;
  credentials: Credentials;
  log: Logger;
  version: string;
}): Promise<Api> {
  const https: ServerOptions = {
    ...serverOptions(options.credentials),
    // Without tickets no session is resumed, so that every connection proves itself.
    secureOptions: constants.SSL_OP_NO_TICKET,
    handshakeTimeout: REQUEST_TIMEOUT_MS,
  };
  const api = fastify({
    https,
    loggerInstance: options.log.child({ door: "api" }, { level: "warn" }),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    return503OnClosing: true,
  }).withTypeProvider<ZodTypeProvider>() as unknown as Api;
  api.setValidatorCompiler(validatorCompiler);
  api.setSerializerCompiler(serializerCompiler);
  installErrors(api as never);
  api.addHook("onRequest", async (request) => {
    authorizePeer(request.raw.socket as TLSSocket, { kind: "any" });
  });
  acceptYaml(api);
  await api.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Godwit agent",
        version: options.version,
        description:
          "Live migration for stock QEMU. A client certificate of the agents' authority is needed.",
        license: { name: "Apache-2.0" },
      },
      components: { securitySchemes: { certificate: { type: "mutualTLS" as "http", scheme: "" } } },
      security: [{ certificate: [] }],
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
  hostRoutes(api, options.context);
  machineRoutes(api, options.context);
  migrationRoutes(api, options.context);
  eventRoutes(api, options.context);
  api.get("/openapi.json", { schema: { hide: true } }, () => api.swagger());
  limitConnections(api);
  await api.ready();
  return api;
}

/** Bounds the connections and cuts them all at the end, also those that have not asked for anything yet. */
function limitConnections(api: Api): void {
  const sockets = new Set<Socket>();
  api.server.maxConnections = MAX_CONNECTIONS;
  api.server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  api.addHook("preClose", async () => {
    // After the answers under way, which Fastify lets finish.
    setImmediate(() => {
      for (const socket of sockets) socket.destroySoon();
    });
  });
}

/** Machine files come as YAML text under any of the names in use for it. */
function acceptYaml(api: Api): void {
  const types = ["application/yaml", "application/x-yaml", "text/yaml", "text/plain"];
  api.addContentTypeParser(types, { parseAs: "string" }, (_request, body, done) => done(null, body));
}

/**
 * Makes the API listen.
 * @throws GodwitError `GODWIT_PORT_TAKEN`, `GODWIT_LISTEN`
 */
export async function listenApi(api: Api, address: { host: string; port: number }): Promise<number> {
  try {
    await api.listen(address);
  } catch (error) {
    throw listenError(error, address);
  }
  const bound = api.server.address();
  return typeof bound === "object" && bound !== null ? bound.port : address.port;
}

/** The error of a `listen` in our words. */
export function listenError(error: unknown, address: { host: string; port: number }): GodwitError {
  const { code, message } = error as NodeJS.ErrnoException;
  const where = `${address.host} port ${address.port}`;
  if (code === "EADDRINUSE" || code === "GODWIT_LISTEN_TAKEN") {
    return new GodwitError("GODWIT_PORT_TAKEN", `${where} is taken by another program`, {
      side: "local",
      advice: "is an agent running already? otherwise choose other ports with --api-port and --wire-port",
      cause: error,
    });
  }
  return new GodwitError("GODWIT_LISTEN", `can't listen on ${where}: ${message}`, {
    side: "local",
    advice: "check --listen: it must be an address of this host",
    cause: error,
  });
}
