import type { strategyNames } from "../settings.ts";
import { auto } from "./auto.ts";
import { hybrid } from "./hybrid.ts";
import { postCopy } from "./post-copy.ts";
import { preCopy } from "./pre-copy.ts";
import { stopAndCopy } from "./stop-and-copy.ts";
import type { Strategy } from "./strategy.ts";

/** Every strategy by its name. */
export const strategies: Readonly<Record<(typeof strategyNames)[number], Strategy>> = {
  "stop-and-copy": stopAndCopy,
  "pre-copy": preCopy,
  "post-copy": postCopy,
  hybrid,
  auto,
};
