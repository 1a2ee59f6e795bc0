/** Bare metal: machines whose devices are moved by what software can do with hardware alone (`docs/metal.md`). */
export type { PhysicalMachine } from "./physical-machine.ts";
export { BareMetal, BareMetalRebuild, captureOnce, letGoOfHeld, undoLeftCapture } from "./qemu/bare-metal.ts";
export { MonitorKeeper } from "./qemu/monitor-keeper.ts";
export { METAL_ARGUMENTS } from "./qemu/qemu-machine.ts";
export { ablations } from "./rebuild.ts";
export { deviceList, deviceTables } from "./tables.ts";
