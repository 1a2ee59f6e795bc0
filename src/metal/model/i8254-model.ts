import type { ModelDevice } from "./model-device.ts";

const FIRST = 0x40;
const CONTROL = 0x43;
const SPEAKER = 0x61;

interface Counter {
  control: number;
  reload: number;
  /** Ticks since the count was loaded. */
  elapsed: number;
  firstByte: number;
  latched: number[];
  status: number[];
  readsHigh: boolean;
}

/** The 8254 of the model: modes 0, 2, 3 and 4, latches and read-back. Time passes by {@link I8254Model.tick}. */
export class I8254Model implements ModelDevice {
  /** Called when the output of counter 0 changes. */
  onOutput: (high: boolean) => void = () => {};
  speaker = 0;
  readonly #counters: Counter[] = [0, 1, 2].map(() => ({
    ...{ control: 0x30, reload: 0, elapsed: 0, firstByte: -1 },
    ...{ latched: [], status: [], readsHigh: false },
  }));
  #output = false;

  /** Time passes. */
  tick(ticks: number): void {
    for (const counter of this.#counters) counter.elapsed += ticks;
    this.#update();
  }

  /** The count that a counter has now. */
  count(index: number): number {
    const counter = this.#counters[index]!;
    const whole = counter.reload === 0 ? 0x1_0000 : counter.reload;
    const mode = modeOf(counter);
    if (mode === 2) return whole - (counter.elapsed % whole);
    if (mode === 3) return whole - ((2 * counter.elapsed) % whole);
    return (whole - counter.elapsed) & 0xffff;
  }

  /** The value that a counter begins anew with. */
  reload(index: number): number {
    return this.#counters[index]!.reload;
  }

  /** The mode of a counter. */
  mode(index: number): number {
    return modeOf(this.#counters[index]!);
  }

  read(space: "port" | "memory", address: number): number | null {
    if (space !== "port") return null;
    if (address === SPEAKER) return this.speaker;
    const counter = this.#counters[address - FIRST];
    if (counter === undefined) return null;
    const kept = counter.status.shift() ?? counter.latched.shift();
    if (kept !== undefined) return kept;
    const count = this.count(address - FIRST);
    const access = (counter.control >> 4) & 3;
    if (access === 1) return count & 0xff;
    if (access === 2) return count >> 8;
    counter.readsHigh = !counter.readsHigh;
    return counter.readsHigh ? count & 0xff : count >> 8;
  }

  write(space: "port" | "memory", address: number, value: number): boolean {
    if (space !== "port") return false;
    if (address === SPEAKER) this.speaker = value;
    else if (address === CONTROL) this.#control(value);
    else if (address >= FIRST && address < CONTROL) this.#load(this.#counters[address - FIRST]!, value);
    else return false;
    this.#update();
    return true;
  }

  #control(value: number): void {
    if (value >> 6 === 3) {
      for (const [index, counter] of this.#counters.entries()) {
        if ((value & (2 << index)) === 0) continue;
        if ((value & 0x20) === 0) this.#latch(index);
        if ((value & 0x10) === 0 && counter.status.length === 0) {
          counter.status.push((isHigh(counter) ? 0x80 : 0) | (counter.control & 0x3f));
        }
      }
    } else if ((value & 0x30) === 0) this.#latch(value >> 6);
    else {
      const fresh = { control: value, firstByte: -1, latched: [], status: [], readsHigh: false };
      Object.assign(this.#counters[value >> 6]!, fresh);
    }
  }

  /** A second latch before the first was read does nothing. */
  #latch(index: number): void {
    const counter = this.#counters[index]!;
    if (counter.latched.length > 0) return;
    const count = this.count(index);
    const access = (counter.control >> 4) & 3;
    counter.latched =
      access === 1 ? [count & 0xff] : access === 2 ? [count >> 8] : [count & 0xff, count >> 8];
  }

  #load(counter: Counter, value: number): void {
    const access = (counter.control >> 4) & 3;
    if (access === 3 && counter.firstByte === -1) {
      counter.firstByte = value;
      return;
    }
    counter.reload = access === 1 ? value : access === 2 ? value << 8 : counter.firstByte | (value << 8);
    counter.firstByte = -1;
    counter.elapsed = 0;
  }

  #update(): void {
    const high = isHigh(this.#counters[0]!);
    if (high !== this.#output) this.onOutput(high);
    this.#output = high;
  }
}

function isHigh(counter: Counter): boolean {
  const { reload, elapsed } = counter;
  const whole = reload === 0 ? 0x1_0000 : reload;
  const mode = modeOf(counter);
  if (mode === 0) return elapsed >= whole;
  if (mode === 3) return elapsed % whole < (whole + 1) >> 1;
  if (mode === 4) return elapsed === whole;
  return elapsed % whole === 0 && elapsed > 0;
}

function modeOf({ control }: Counter): number {
  const mode = (control >> 1) & 7;
  return mode > 5 ? mode - 4 : mode;
}
