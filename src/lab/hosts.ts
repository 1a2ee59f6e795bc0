import { asGodwitError } from "../base/errors.ts";
import { runCommand } from "./command.ts";
import { LabHost, Place } from "./host.ts";
import { simulatedPorts } from "./lab-ports.ts";
import { shapedBytes } from "./link-shape.ts";
import { loopbackAddresses, type PairAddresses, routesBetween } from "./loopback-network.ts";
import {
  allNamespaces,
  type LabNamespaces,
  labAddresses,
  layNetwork,
  linkDevice,
  namespaceNamesOf,
  tapDevice,
} from "./namespace-network.ts";
import { NetworkNamespace, removeNamespaces, removeNamespacesSync } from "./network-namespace.ts";
import { RemoteSimulator } from "./remote-simulator.ts";
import { newRunName, sweepStaleRuns } from "./run-name.ts";

/** What the two hosts and the link between them shall be like. */
export interface HostsOptions {
  /** Rate of each direction of the migration link, headers included; null (the default) for no bound. */
  readonly bytesPerSecond?: number | null;
  /** One-way delay of the migration link; more than 0 puts a link simulator between the hosts. */
  readonly latencyMs?: number;
  /** Puts a link simulator there in any case, so that the link can be cut. */
  readonly simulator?: boolean;
  /** `namespaces` need root; the default takes them where it can. */
  readonly kind?: "namespaces" | "loopback";
  readonly signal?: AbortSignal;
}

/** Bytes that crossed the migration link so far, independent of who sent them. */
export interface LinkBytes {
  readonly aToB: number;
  readonly bToA: number;
}

/** Whether this process may make network namespaces. */
export function canMakeNamespaces(): boolean {
  return process.getuid?.() === 0;
}

/**
 * Two hosts on this machine. With root they are network namespaces, joined by a link that is shaped to a rate, and
 * by a LAN on which a client sees the guest under one address wherever it runs. Without root they are addresses of
 * the loopback device with a link simulator between them, and there is no client.
 *
 * Everything started inside ends with them; they go with this process at the latest, and what a killed process
 * left is swept by the next.
 * @throws GodwitError `GODWIT_LAB_COMMAND`, `GODWIT_LAB_HELPER`; nothing is left behind then
 */
export async function makeHosts(options: HostsOptions = {}): Promise<Hosts> {
  const kind = options.kind ?? (canMakeNamespaces() ? "namespaces" : "loopback");
  return kind === "namespaces" ? makeNamespaceHosts(options) : makeLoopbackHosts(options);
}

/** See {@link makeHosts}. */
export class Hosts implements AsyncDisposable {
  readonly kind: "namespaces" | "loopback";
  readonly a: LabHost;
  readonly b: LabHost;
  /** Where programs run that know the guest by one address; null in loopback mode. */
  readonly client: Place | null;
  /** The link simulator, where one stands between the hosts. */
  readonly simulator: RemoteSimulator | null;
  readonly #namespaces: LabNamespaces | null;
  readonly #atExit: () => void;
  #disposed: Promise<void> | null = null;

  constructor(parts: {
    addresses: PairAddresses;
    namespaces: LabNamespaces | null;
    simulator: RemoteSimulator | null;
  }) {
    const { addresses, namespaces, simulator } = parts;
    this.kind = namespaces === null ? "loopback" : "namespaces";
    const tap = namespaces === null ? null : tapDevice;
    this.a = new LabHost({
      name: "a",
      namespace: namespaces?.a ?? null,
      address: addresses.a,
      peerAddress: addresses.aPeer,
      tap,
    });
    this.b = new LabHost({
      name: "b",
      namespace: namespaces?.b ?? null,
      address: addresses.b,
      peerAddress: addresses.bPeer,
      tap,
    });
    this.client = namespaces === null ? null : new Place(namespaces.client);
    this.simulator = simulator;
    this.#namespaces = namespaces;
    this.#atExit = () => {
      if (namespaces !== null) removeNamespacesSync(allNamespaces(namespaces));
    };
    process.once("exit", this.#atExit);
  }

  /** The other one. */
  peerOf(host: LabHost): LabHost {
    return host === this.a ? this.b : this.a;
  }

  /**
   * The ruler that every engine is measured with: what left each host, Ethernet, IP and TCP headers included. In
   * loopback mode there are no headers to count, only payload.
   */
  async linkBytes(): Promise<LinkBytes> {
    if (this.#namespaces === null) {
      const traffic = await this.simulator?.traffic();
      return { aToB: traffic?.forwardBytes ?? 0, bToA: traffic?.backwardBytes ?? 0 };
    }
    const [aToB, bToA] = await Promise.all([sentBytes(this.#namespaces.a), sentBytes(this.#namespaces.b)]);
    return { aToB, bToA };
  }

  /** Ends every process inside and takes the hosts away. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    await this.simulator?.[Symbol.asyncDispose]();
    if (this.#namespaces !== null) await removeNamespaces(allNamespaces(this.#namespaces));
    process.off("exit", this.#atExit);
  }
}

async function makeNamespaceHosts(options: HostsOptions): Promise<Hosts> {
  await sweepStaleRuns();
  const { bytesPerSecond = null, latencyMs = 0, signal } = options;
  const withMiddle = options.simulator === true || latencyMs > 0;
  const run = newRunName();
  try {
    const namespaces = await layNetwork(run, { withMiddle, bytesPerSecond }, signal);
    if (namespaces.middle === null) {
      const addresses = {
        a: labAddresses.a,
        b: labAddresses.aPeer,
        aPeer: labAddresses.aPeer,
        bPeer: labAddresses.a,
      };
      return new Hosts({ addresses, namespaces, simulator: null });
    }
    const { a, b, aPeer, bPeer } = labAddresses;
    const addresses = { a, b, aPeer, bPeer };
    const routes = routesBetween(addresses, simulatedPorts());
    const simulator = await RemoteSimulator.start(new Place(namespaces.middle), routes, { latencyMs });
    return new Hosts({ addresses, namespaces, simulator });
  } catch (error) {
    await removeNamespaces(namespaceNamesOf(run, true).map((name) => new NetworkNamespace(name)));
    throw asGodwitError(error, "GODWIT_LAB_HOSTS", { side: "local" });
  }
}

async function makeLoopbackHosts(options: HostsOptions): Promise<Hosts> {
  const { bytesPerSecond = null, latencyMs = 0 } = options;
  const addresses = loopbackAddresses();
  const routes = routesBetween(addresses, simulatedPorts());
  const simulator = await RemoteSimulator.start(new Place(null), routes, { latencyMs, bytesPerSecond });
  return new Hosts({ addresses, namespaces: null, simulator });
}

async function sentBytes(namespace: NetworkNamespace): Promise<number> {
  return shapedBytes(
    await runCommand("tc", ["-n", namespace.name, "-j", "-s", "qdisc", "show", "dev", linkDevice]),
  );
}
