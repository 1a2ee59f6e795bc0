import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeFrame, FRAME_HEAD_BYTES, HELPER_PROTOCOL_VERSION, requestTypes } from "../protocol.ts";

/** A request as a helper sees it. */
export interface SeenRequest {
  readonly type: number;
  readonly session: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

/** What a fake helper does with a request: bytes to write, or nothing at all. */
export type Behaviour = (request: SeenRequest, socket: Socket) => Buffer | null;

/** A hello answer of a helper that can do everything. */
export function helloPayload(change: (payload: Buffer) => void = () => {}): Buffer {
  const payload = Buffer.alloc(16);
  payload.writeUInt16LE(HELPER_PROTOCOL_VERSION, 0);
  payload.writeUInt16LE(HELPER_PROTOCOL_VERSION, 2);
  payload.writeUInt32LE(31, 4);
  payload.writeUInt32LE(1 << 20, 8);
  payload.writeUInt32LE(4096, 12);
  change(payload);
  return payload;
}

/** An answer of 40 bytes of head with these runs. */
export function listPayload(runs: readonly number[], countAt: number, source = 1): Buffer {
  const payload = Buffer.alloc(40 + 4 * runs.length);
  if (countAt === 4) payload[0] = source;
  payload.writeUInt32LE(runs.length / 2, countAt);
  for (const [index, value] of runs.entries()) payload.writeUInt32LE(value, 40 + 4 * index);
  return payload;
}

/** The frame that answers a request. */
export function answerTo(request: SeenRequest, payload: Buffer): Buffer {
  return encodeFrame(request.type | 0x8000, request.session, request.sequence, payload);
}

/** A helper that says hello as it should and then does what it is told. */
export function afterHello(behaviour: Behaviour): Behaviour {
  return (request, socket) =>
    request.type === requestTypes.hello ? answerTo(request, helloPayload()) : behaviour(request, socket);
}

/** The guest's end of a channel, as QEMU shows it: a listening unix socket. */
export class FakeHelper implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "godwit-helper-"));
  readonly path = join(this.#folder, "channel.sock");
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));
  #behaviour: Behaviour;

  private constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour;
  }

  static async listen(behaviour: Behaviour): Promise<FakeHelper> {
    const helper = new FakeHelper(behaviour);
    await new Promise<void>((resolve) => helper.#server.listen(helper.path, resolve));
    return helper;
  }

  set behaviour(behaviour: Behaviour) {
    this.#behaviour = behaviour;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let waiting = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes]);
      while (waiting.length >= FRAME_HEAD_BYTES) {
        const end = FRAME_HEAD_BYTES + waiting.readUInt32LE(16);
        if (waiting.length < end) return;
        const request = {
          type: waiting.readUInt16LE(4),
          session: waiting.readUInt32LE(8),
          sequence: waiting.readUInt32LE(12),
          payload: waiting.subarray(FRAME_HEAD_BYTES, end),
        };
        waiting = waiting.subarray(end);
        const answer = this.#behaviour(request, socket);
        if (answer !== null && !socket.destroyed) socket.write(answer);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true });
  }
}
