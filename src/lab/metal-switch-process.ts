import { rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { runFirst } from "./first-in-line.ts";
import { FrameSwitch, type SwitchPort } from "./frame-switch.ts";
import { serveHelper } from "./helper-serve.ts";
import { Retransmissions } from "./retransmissions.ts";

/** QEMU sends no longer frame; more is not its protocol. */
const MOST_FRAME_BYTES = 70_000;
const LENGTH_BYTES = 4;

const { path }: { path: string } = JSON.parse(process.argv[2] ?? "{}");
const retransmissions = new Retransmissions();
const lan = new FrameSwitch<StreamPort>();

/** One `-netdev stream`: a big-endian length, then the frame. */
class StreamPort implements SwitchPort {
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("error", () => {});
    socket.on("close", () => lan.remove(this));
  }

  send(frame: Uint8Array): void {
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeUInt32BE(frame.length);
    this.#socket.cork();
    this.#socket.write(length);
    this.#socket.write(frame);
    this.#socket.uncork();
  }

  #read(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= LENGTH_BYTES) {
      const length = all.readUInt32BE(at);
      if (length > MOST_FRAME_BYTES) return void this.#socket.destroy();
      if (all.length - at - LENGTH_BYTES < length) break;
      const frame = all.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length);
      if (length >= 14) {
        retransmissions.take(frame);
        lan.take(this, frame);
      }
      at += LENGTH_BYTES + length;
    }
    this.#rest = Buffer.from(all.subarray(at));
  }
}

runFirst();
rmSync(path, { force: true });
const server = createServer((socket) => lan.add(new StreamPort(socket)));
await new Promise<void>((resolve, reject) => {
  server.once("error", reject);
  server.listen(path, resolve);
});

const plain = (address: string) => address.replaceAll(":", "").toLowerCase();

serveHelper(
  {
    departs: (address: string) => lan.departs(plain(address)),
    hold: (address: string) => lan.hold(plain(address)),
    release: () => lan.release(),
    retransmittedSegments: () => retransmissions.segments,
  },
  path,
);
