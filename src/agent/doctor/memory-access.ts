import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { type Check, finding } from "./check.ts";

/** Whether guest memory can be read from outside, which pre-copy needs for sending each page once. */
export const memoryAccessCheck: Check = {
  name: "guest memory",
  run() {
    const root = process.getuid?.() === 0;
    const scope = readOr("/proc/sys/kernel/yama/ptrace_scope", "0").trim();
    const advice =
      "run the agent as root or with CAP_SYS_PTRACE, or give VMs memoryBackend: {kind: file}; " +
      "otherwise page contents come from QEMU's stream, and more bytes are sent";
    if (!canReadMemory()) return [finding("guest memory", "warn", "/proc/PID/mem can't be read", advice)];
    if (root) return [finding("guest memory", "ok", "read by root through /proc/PID/mem")];
    // Whoever is no root may read processes of his own, as far as Yama lets him.
    if (scope === "0") return [finding("guest memory", "ok", "read through /proc/PID/mem (ptrace_scope 0)")];
    const only = scope === "1" ? "of children that this agent started itself" : "of no other process";
    return [
      finding("guest memory", "warn", `not root, ptrace_scope ${scope}: memory ${only} can be read`, advice),
    ];
  },
};

/** Whether user faults can be served, which post-copy needs at the destination. */
export const userfaultCheck: Check = {
  name: "user faults",
  run() {
    const root = process.getuid?.() === 0;
    const anybody = readOr("/proc/sys/vm/unprivileged_userfaultfd", "0").trim() === "1";
    if (root || anybody || (existsSync("/dev/userfaultfd") && canOpen("/dev/userfaultfd"))) {
      return [finding("user faults", "ok", "userfaultfd is usable")];
    }
    const advice = "sysctl vm.unprivileged_userfaultfd=1, or run the agent as root; pre-copy works without";
    return [finding("user faults", "warn", "userfaultfd is for root only", advice)];
  },
};

function canReadMemory(): boolean {
  const line = readOr("/proc/self/maps", "").split("\n")[0] ?? "";
  const address = Number.parseInt(line.split("-")[0] ?? "", 16);
  try {
    const file = openSync("/proc/self/mem", "r");
    try {
      return readSync(file, Buffer.alloc(16), 0, 16, address) === 16;
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}

function canOpen(path: string): boolean {
  try {
    closeSync(openSync(path, "r+"));
    return true;
  } catch {
    return false;
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
