/** Frames held for one address: a second of a full 100 Mbit/s. More is dropped, as a switch does. */
const MOST_HELD = 8192;

/** A port of the switch: something that takes frames. */
export interface SwitchPort {
  send(frame: Uint8Array): void;
}

/** A learning switch that can hold the frames of one address while its machine is on the way. */
export class FrameSwitch<Port extends SwitchPort> {
  readonly #ports = new Set<Port>();
  readonly #places = new Map<string, Port>();
  #awaited: string | null = null;
  #from: Port | null = null;
  #waiting: { from: Port; frame: Uint8Array }[] = [];
  #held = 0;
  #dropped = 0;

  add(port: Port): void {
    this.#ports.add(port);
  }

  remove(port: Port): void {
    this.#ports.delete(port);
    for (const [address, at] of this.#places) if (at === port) this.#places.delete(address);
  }

  /** A frame comes in at a port; its bytes are kept if it is held. */
  take(from: Port, frame: Uint8Array): void {
    const to = addressAt(frame, 0);
    const source = addressAt(frame, 6);
    this.#places.set(source, from);
    if (source === this.#awaited && from !== this.#from) this.#handOn();
    if (to === this.#awaited) {
      if (this.#waiting.length < MOST_HELD) this.#waiting.push({ from, frame });
      else this.#dropped += 1;
    } else this.#forward(from, to, frame);
  }

  /** From now on what is sent to an address waits until it is heard from another port than now. */
  hold(address: string): void {
    this.#awaited = address;
    this.#from = this.#places.get(address) ?? null;
    this.#held = 0;
    this.#dropped = 0;
  }

  /** Hands on what waits. @returns how much waited since {@link hold} */
  release(): { held: number; dropped: number } {
    this.#handOn();
    return { held: this.#held, dropped: this.#dropped };
  }

  #handOn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const address = this.#awaited;
    this.#awaited = null;
    this.#held += waiting.length;
    const port = address === null ? undefined : this.#places.get(address);
    for (const { from, frame } of waiting) if (port !== undefined && port !== from) port.send(frame);
  }

  #forward(from: Port, to: string, frame: Uint8Array): void {
    const known = this.#places.get(to);
    if (known !== undefined && !isGroup(frame)) {
      if (known !== from) known.send(frame);
      return;
    }
    // Both machines of a move are connected, and the one that stands still finds its copy when it runs.
    for (const port of this.#ports) if (port !== from) port.send(frame);
  }
}

function isGroup(frame: Uint8Array): boolean {
  return (frame[0]! & 1) !== 0;
}

function addressAt(frame: Uint8Array, offset: number): string {
  return Buffer.from(frame.buffer, frame.byteOffset + offset, 6).toString("hex");
}
