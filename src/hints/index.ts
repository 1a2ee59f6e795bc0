export { GuestHelper } from "./client.ts";
export { type BlockRuns, blockRunsOf, type GuestMemoryPiece, guestPageCount } from "./guest-pages.ts";
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
