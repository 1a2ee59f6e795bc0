/** QEMU on this host: machine files, starting and finding it, speaking to it, reading its guest's memory. */
export { adoptMachine, inspectStateFolder, type StateFolder } from "./adopt.ts";
export { type MigrationSupport, migrationSupport, setCapabilities } from "./capabilities.ts";
export { type CommandLineOptions, commandLine } from "./command-line.ts";
export { GuestMemory } from "./guest-memory.ts";
export { killMachine } from "./kill.ts";
export { type Disk, type Machine, type Nic, type NicBackend, parseMachine } from "./machine.ts";
export {
  MachineFileError,
  type MachineFileOrigin,
  type MachineFileProblem,
  parseMachineFile,
  readMachineFile,
} from "./machine-file.ts";
export { type MachineWarning, machineWarnings } from "./machine-warnings.ts";
export {
  type MemorySource,
  type MemorySurvey,
  memoryLayout,
  surveyMemory,
  type UnreadableBlock,
} from "./memory-layout.ts";
export type { ProcessIdentity } from "./process-table.ts";
export * from "./qmp.ts";
export { type MachineExit, RunningMachine } from "./running-machine.ts";
export { soundMemoryBytes } from "./sound-memory.ts";
export { type StartOptions, startMachine } from "./start.ts";
export {
  binaryVersion,
  formatVersion,
  parseQemuVersion,
  type QemuVersion,
  runningVersion,
} from "./version.ts";
