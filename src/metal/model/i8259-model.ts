import type { ModelDevice } from "./model-device.ts";

/** One 8259A of the model: initialisation, masks, edge and level lines, polling. No rotation on EOI. */
export class I8259Model implements ModelDevice {
  readonly #base: number;
  readonly #levelsPort: number;
  /** Called when the chip begins or ceases to ask its parent. */
  onAsks: (asks: boolean) => void = () => {};
  mask = 0;
  requests = 0;
  inService = 0;
  levels = 0;
  vector = 0;
  icw4 = 0;
  step = 0;
  lowest = 7;
  specialMask = false;
  readsInService = false;
  #lines = 0;
  #icw1 = 0;
  #polled = false;

  constructor(base: number, levelsPort: number) {
    this.#base = base;
    this.#levelsPort = levelsPort;
  }

  /** A line from a device goes up or down. */
  setLine(line: number, up: boolean): void {
    const bit = 1 << line;
    if ((this.levels & bit) !== 0) this.requests = up ? this.requests | bit : this.requests & ~bit;
    else if (up && (this.#lines & bit) === 0) this.requests |= bit;
    this.#lines = up ? this.#lines | bit : this.#lines & ~bit;
    this.#update();
  }

  /** What a processor does that takes the interrupt. @returns the line, or null where none asks */
  acknowledge(): number | null {
    const line = this.#next();
    if (line === null) return null;
    const bit = 1 << line;
    if ((this.icw4 & 2) === 0) this.inService |= bit;
    if ((this.levels & bit) === 0) this.requests &= ~bit;
    this.#update();
    return line;
  }

  read(space: "port" | "memory", address: number): number | null {
    if (space !== "port") return null;
    if (address === this.#levelsPort) return this.levels;
    if (address !== this.#base && address !== this.#base + 1) return null;
    if (this.#polled) {
      this.#polled = false;
      const line = this.acknowledge();
      return line === null ? 0 : 0x80 | line;
    }
    if (address === this.#base + 1) return this.mask;
    return this.readsInService ? this.inService : this.requests;
  }

  write(space: "port" | "memory", address: number, value: number): boolean {
    if (space !== "port") return false;
    if (address === this.#levelsPort) this.levels = value;
    else if (address === this.#base) this.#command(value);
    else if (address === this.#base + 1) this.#data(value);
    else return false;
    this.#update();
    return true;
  }

  #command(value: number): void {
    if ((value & 0x10) !== 0) {
      Object.assign(this, { mask: 0, inService: 0, lowest: 7, icw4: 0, vector: 0 });
      Object.assign(this, { specialMask: false, readsInService: false });
      this.requests &= this.levels;
      this.#lines = 0;
      this.#icw1 = value;
      this.step = 2;
    } else if ((value & 0x08) !== 0) {
      this.#polled = (value & 0x04) !== 0;
      if ((value & 0x02) !== 0) this.readsInService = (value & 1) !== 0;
      if ((value & 0x40) !== 0) this.specialMask = (value & 0x20) !== 0;
    } else if (value >> 5 === 6) this.lowest = value & 7;
    else if (value >> 5 === 3) this.inService &= ~(1 << (value & 7));
    else if (value >> 5 === 1) {
      const line = this.#order().find((candidate) => (this.inService & (1 << candidate)) !== 0);
      if (line !== undefined) this.inService &= ~(1 << line);
    }
  }

  #data(value: number): void {
    if (this.step === 0) this.mask = value;
    else if (this.step === 2) {
      this.vector = value & 0xf8;
      this.step = (this.#icw1 & 2) === 0 ? 3 : (this.#icw1 & 1) === 0 ? 0 : 4;
    } else if (this.step === 3) this.step = (this.#icw1 & 1) === 0 ? 0 : 4;
    else {
      this.icw4 = value;
      this.step = 0;
    }
  }

  /** Lines from the highest priority to the lowest. */
  #order(): number[] {
    return Array.from({ length: 8 }, (_, index) => (this.lowest + 1 + index) & 7);
  }

  #next(): number | null {
    for (const line of this.#order()) {
      const bit = 1 << line;
      const blocks = this.inService & (this.specialMask ? ~this.mask : 0xff) & bit;
      if (blocks !== 0) return null;
      if ((this.requests & ~this.mask & bit) !== 0) return line;
    }
    return null;
  }

  #update(): void {
    this.onAsks(this.#next() !== null);
  }
}
