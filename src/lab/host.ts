import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import type { NetworkNamespace } from "./network-namespace.ts";

/** Which of the two hosts. The guest starts on `a`. */
export type HostName = "a" | "b";

/** A place where programs of the lab run: a network namespace, or this machine itself in loopback mode. */
export class Place {
  readonly namespace: NetworkNamespace | null;

  constructor(namespace: NetworkNamespace | null) {
    this.namespace = namespace;
  }

  /** The command line that runs a command here; the child's pid is the command's own. */
  wrap(command: string, args: readonly string[]): { command: string; args: string[] } {
    return this.namespace === null ? { command, args: [...args] } : this.namespace.wrap(command, args);
  }

  /** Starts a program here; `spawn` in all else. */
  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const wrapped = this.wrap(command, args);
    return spawn(wrapped.command, wrapped.args, options);
  }
}

/** One of the two hosts. */
export class LabHost extends Place {
  readonly name: HostName;
  /** Where programs of this host listen for the other host. */
  readonly address: string;
  /** Where programs of this host find the other one: its address, or the link simulator that stands for it. */
  readonly peerAddress: string;
  /** The tap that a guest's NIC is plugged into, or null in loopback mode. */
  readonly tap: string | null;

  constructor(options: {
    name: HostName;
    namespace: NetworkNamespace | null;
    address: string;
    peerAddress: string;
    tap: string | null;
  }) {
    super(options.namespace);
    this.name = options.name;
    this.address = options.address;
    this.peerAddress = options.peerAddress;
    this.tap = options.tap;
  }
}
