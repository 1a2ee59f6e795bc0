import { type ContenderId, contenders } from "./contenders.ts";
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

/** Where each rival overtakes a strategy of ours, from the runs over bandwidth; those that were not measured lack. */
export function crossovers(all: readonly Measured[], ours: ContenderId): Crossover[] {
  const own = mediansOver(all, ours, totalSeconds);
  return rivals.flatMap((rival) => {
    const theirs = new Map(mediansOver(all, rival, totalSeconds).map(({ x, median }) => [x, median]));
    const points = own.flatMap(({ x, median }) => {
      const other = theirs.get(x);
      return other === undefined ? [] : [{ x, ratio: median / other }];
    });
    if (points.length === 0) return [];
    return [{ rival, atMegabits: crossing(points), aheadBelow: points[0]!.ratio < 1 }];
  });
}

/** The crossovers in a sentence each. */
export function crossoverText(all: readonly Measured[], ours: ContenderId): string {
  return crossovers(all, ours)
    .map(({ rival, atMegabits, aheadBelow }) => {
      const [us, them] = [contenders[ours].label, contenders[rival].label];
      if (atMegabits === null) {
        return `${aheadBelow ? us : them} is faster than ${aheadBelow ? them : us} at every measured bandwidth.`;
      }
      const below = aheadBelow ? us : them;
      return `Below about ${bandwidthText(atMegabits)} ${below} is faster than ${aheadBelow ? them : us}, above it is the other way round.`;
    })
    .join(" ");
}
