/** Frames held for one address: a second of a full 100 Mbit/s. More is dropped, as a switch does. */
const MOST_HELD = 8192;

/**
 * Frames younger than this when the holding begins are held, too: the word of a stop takes this long to get here at
 * most, and a machine that has stopped already would lose them. A frame that comes twice does no harm.
 */
const LOOK_BACK_MS = 100;

/** A port of the switch: something that takes frames. */
export interface SwitchPort {
  send(frame: Uint8Array): void;
}

/** A learning switch that can hold the frames of one address while its machine is on the way. */
export class FrameSwitch<Port extends SwitchPort> {
  readonly #ports = new Set<Port>();
  readonly #places = new Map<string, Port>();
  #awaited: string | null = null;
  #departing: { address: string; from: Port | null } | null = null;
  #waiting: { from: Port; frame: Uint8Array }[] = [];
  readonly #recent: { from: Port; to: string; frame: Uint8Array; atMs: number }[] = [];
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
    if (source === this.#awaited) this.#handOn();
    if (to === this.#awaited) {
      if (this.#waiting.length < MOST_HELD) this.#waiting.push({ from, frame });
      else this.#dropped += 1;
    } else {
      this.#remember(from, to, frame);
      this.#forward(from, to, frame);
    }
  }

  /** A machine is about to leave: where it is heard now is where it comes from. */
  departs(address: string): void {
    this.#departing = { address, from: this.#places.get(address) ?? null };
    this.#held = 0;
    this.#dropped = 0;
  }

  /**
   * From now on what is sent to an address waits until the address is heard again: a machine that stands still says
   * nothing, so it is wherever it is heard next.
   */
  hold(address: string): void {
    const departing = this.#departing;
    // The word of the stop may come late, when the machine has been heard at its new place.
    if (departing?.address === address && this.#places.get(address) !== departing.from) return;
    this.#awaited = address;
    const since = performance.now() - LOOK_BACK_MS;
    this.#waiting = this.#recent.filter((recent) => recent.to === address && recent.atMs >= since);
  }

  /** Hands on what waits. @returns how much waited since {@link hold} */
  release(): { held: number; dropped: number } {
    this.#handOn();
    this.#departing = null;
    return { held: this.#held, dropped: this.#dropped };
  }

  #remember(from: Port, to: string, frame: Uint8Array): void {
    const now = performance.now();
    if (isGroup(frame)) return;
    this.#recent.push({ from, to, frame, atMs: now });
    while (this.#recent.length > 0 && this.#recent[0]!.atMs < now - LOOK_BACK_MS) this.#recent.shift();
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
