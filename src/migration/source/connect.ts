import { type ControlChannel, connectControl } from "../../wire/index.ts";
import type { SourceOptions } from "./options.ts";

/** What it takes to reach the other agent. */
export type ConnectOptions = Pick<
  SourceOptions,
  "destination" | "credentials" | "hostName" | "softwareVersion" | "lostAfterMs"
>;

/** Opens a control connection to the destination's agent. */
export async function connectDestination(
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<ControlChannel> {
  const { destination, lostAfterMs } = options;
  const { channel } = await connectControl({
    host: destination.host,
    port: destination.port,
    credentials: options.credentials,
    peerName: destination.name,
    agentName: options.hostName,
    softwareVersion: options.softwareVersion,
    ...(lostAfterMs === undefined ? {} : { lostAfterMs }),
    signal,
  });
  return channel;
}
