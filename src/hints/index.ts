export { GuestHelper } from "./client.ts";
export type { FreePageLister } from "./free-page-lister.ts";
export { type BlockRuns, blockRunsOf, type GuestMemoryPiece, guestPageCount } from "./guest-pages.ts";
export { HeldLocks, HOLD_US, type SharedDoorbell } from "./held-locks.ts";
export {
  type DropCacheAnswer,
  type FreePagesAnswer,
  type FreePagesRequest,
  HELPER_CHANNEL,
  type HelperHello,
  type KernelPagesAnswer,
  type KernelPagesRequest,
  MOST_RUNS,
  type WorkingSetAnswer,
  type WorkingSetRequest,
} from "./protocol.ts";
