/** Over more decades than this only the powers of ten get a line, or they would be a hatching. */
const DENSE_DECADES = 2.5;

/** The range 1, 2, 5, 10, 20 … that a range lies in, and the ticks of it, ascending. Both ends are more than 0. */
export function logTicks(low: number, high: number): number[] {
  const ladder: number[] = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent += 1) {
    for (const step of [1, 2, 5]) ladder.push(Number(`${step}e${exponent}`));
  }
  const from = ladder.findLastIndex((tick) => tick <= low);
  const to = ladder.findIndex((tick) => tick >= high);
  const ticks = ladder.slice(from, to + 1);
  if (Math.log10(high / low) <= DENSE_DECADES) return ticks;
  const inner = ticks.slice(1, -1).filter((tick) => Number.isInteger(Math.log10(tick)));
  return [ticks[0]!, ...inner, ticks.at(-1)!];
}
