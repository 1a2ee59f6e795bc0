import { parentPort } from "node:worker_threads";
import { BulkListener } from "../../wire/bulk/listener.ts";
import { Pacer } from "../../wire/bulk/pacer.ts";
import type { BulkSender } from "../../wire/bulk/sender.ts";
import type { Credentials } from "../../wire/index.ts";

/** Where a thread of the source waits for its one connection, and for whom. */
export interface ConnectionInput {
  readonly credentials: Credentials;
  readonly peerName: string;
  readonly listen: { readonly host: string; readonly ports?: readonly [number, number] | undefined };
  readonly token: Uint8Array;
}

/** What every such thread tells before anything else. */
export type ConnectionNotice =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "connected" };

/**
 * Listens for this thread's connection, tells its port, and hands the connection over when it stands. Tasks that come
 * earlier wait until then.
 * @param cap the bandwidth cap that the connection keeps; null for one that never waits for it
 * @param begin makes what takes the thread's tasks
 */
export async function ownConnection<Task>(
  input: ConnectionInput,
  cap: SharedArrayBuffer | null,
  begin: (sender: BulkSender) => (task: Task) => void,
): Promise<void> {
  const tell = (notice: ConnectionNotice) => parentPort!.postMessage(notice);
  const early: Task[] = [];
  const keep = (task: Task) => early.push(task);
  parentPort!.on("message", keep);
  const { ports } = input.listen;
  const listener = await BulkListener.listen({
    host: input.listen.host,
    port: ports === undefined ? 0 : { from: ports[0], to: ports[1] },
    credentials: input.credentials,
    peerName: input.peerName,
    token: input.token,
    ...(cap === null ? {} : { pacer: new Pacer(cap) }),
  });
  tell({ type: "listening", port: listener.port });
  const take = begin(await listener.accept());
  parentPort!.off("message", keep);
  parentPort!.on("message", take);
  for (const task of early) take(task);
  tell({ type: "connected" });
}
