import { cpus, loadavg, release, totalmem } from "node:os";
import type { LabResult } from "./lab-result.ts";

/** What a reader of a result must know of the machine that it was measured on. */
export function machineFacts(): LabResult["machine"] {
  const processors = cpus();
  return {
    processor: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    kernel: release(),
    loadAverage: loadavg()[0] ?? 0,
  };
}
