import { type ContenderId, contenders, godwitLive } from "./contenders.ts";
import type { Table } from "./figure.ts";
import { totalSeconds } from "./metrics.ts";
import { crossing } from "./statistics.ts";
import { type Measured, mediansOver } from "./sweep.ts";
import { bandwidthText } from "./words.ts";

/** The stock settings that are asked when they overtake us. */
const rivals: readonly ContenderId[] = ["qemu", "qemu-multifd", "qemu-zstd"];

/** Where a rival's total time becomes the shorter one. */
export interface Crossover {
  readonly rival: ContenderId;
  /** Mbit/s; null where one side is ahead at all measured bandwidths. */
  readonly atMegabits: number | null;
  /** Whether we are ahead at the lowest measured bandwidth. */
  readonly aheadBelow: boolean;
}

/** Where each rival overtakes a strategy of ours, from the runs over bandwidth; those not measured at two bandwidths lack. */
export function crossovers(all: readonly Measured[], ours: ContenderId): Crossover[] {
  const own = mediansOver(all, ours, totalSeconds);
  return rivals.flatMap((rival) => {
    const theirs = new Map(mediansOver(all, rival, totalSeconds).map(({ x, median }) => [x, median]));
    const points = own.flatMap(({ x, median }) => {
      const other = theirs.get(x);
      return other === undefined ? [] : [{ x, ratio: median / other }];
    });
    if (points.length < 2) return [];
    return [{ rival, atMegabits: crossing(points), aheadBelow: points[0]!.ratio < 1 }];
  });
}

/** The crossovers of a strategy in a sentence each; nothing where too little was measured. */
export function crossoverText(all: readonly Measured[], ours: ContenderId): string {
  return crossovers(all, ours)
    .map(({ rival, atMegabits, aheadBelow }) => {
      const [us, them] = [contenders[ours].label, contenders[rival].label];
      const [below, above] = aheadBelow ? [us, them] : [them, us];
      if (atMegabits === null)
        return `${capital(below)} is faster than ${above} at every measured bandwidth.`;
      return `Below about ${bandwidthText(atMegabits)} ${below} is faster than ${above}, above it is the other way round.`;
    })
    .join(" ");
}

/** Who is faster where, a row per strategy of ours. */
export function crossoverTable(all: readonly Measured[]): Table {
  const told = ({ atMegabits, aheadBelow }: Crossover) => {
    if (atMegabits === null) return aheadBelow ? "we are faster everywhere" : "it is faster everywhere";
    return `${aheadBelow ? "it overtakes us" : "we overtake it"} at ${bandwidthText(atMegabits)}`;
  };
  return {
    title: "At which bandwidth a stock setting overtakes us, by total time",
    rows: [
      ["", ...rivals.map((rival) => contenders[rival].label)],
      ...godwitLive.map((ours) => {
        const found = crossovers(all, ours);
        const cells = rivals.map((rival) => found.find((crossover) => crossover.rival === rival));
        return [
          contenders[ours].label,
          ...cells.map((cell) => (cell === undefined ? "not measured" : told(cell))),
        ];
      }),
    ],
  };
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
