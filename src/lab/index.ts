/** The lab's pieces for tests of the whole system: hosts, agents, guests, a link that breaks, a client outside. */
export { GuestControl } from "./guest-control.ts";
export { damageOf, type GuestLoad, loadGuest, withGuest } from "./guest-load.ts";
export { LabHost, Place } from "./host.ts";
export { canMakeNamespaces, Hosts, type HostsOptions, makeHosts } from "./hosts.ts";
export { type LabAgent, type LabAgents, startLabAgents } from "./lab-agent.ts";
export { CONTROL_CHANNEL, LAB_MACHINE_NAME, labMachine, labMachineFile } from "./lab-machine.ts";
export { type CutMode, LinkSimulator } from "./link-simulator.ts";
export { labAddresses } from "./namespace-network.ts";
export { Probe } from "./probe.ts";
export { RemoteSimulator } from "./remote-simulator.ts";
export { qemuBinary } from "./run.ts";
export { RunFolder } from "./run-folder.ts";
