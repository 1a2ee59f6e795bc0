/**
 * A typed client of QEMU's machine protocol: the public door `godwit/qmp`.
 */

export type { WaitOptions } from "../base/waiting.ts";
export {
  COMMAND_TIMEOUT_MS,
  CONNECT_TIMEOUT_MS,
  type ExecuteOptions,
  LINE_LIMIT_BYTES,
  QmpClient,
  type QmpConnectOptions,
} from "./qmp-client.ts";
export type {
  ArgumentsOf,
  KnownCommand,
  MigrationInfo,
  MigrationParameters,
  QmpArguments,
  ResultOf,
  RunStatus,
} from "./qmp-commands.ts";
export { QmpCommandError } from "./qmp-errors.ts";
export {
  isEvent,
  type KnownEventName,
  type KnownQmpEvent,
  type MigrationStatus,
  type QmpEvent,
  type QmpEventData,
  type ShutdownData,
} from "./qmp-events.ts";
