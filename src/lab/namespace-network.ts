import { shapingLine } from "./link-shape.ts";
import { ipBetweenNamespaces, makeNamespaces, type NetworkNamespace } from "./network-namespace.ts";

/** The addresses of the lab, inside namespaces of its own: nothing outside can meet them. */
export const labAddresses = {
  /** The two ends of a direct link, or of the link's half on a's side. */
  a: "10.78.0.1",
  aPeer: "10.78.0.2",
  /** The half on b's side when a simulator stands in the middle. */
  b: "10.78.1.2",
  bPeer: "10.78.1.1",
  client: "10.77.0.1",
  guest: "10.77.0.2",
  guestPrefixBits: 24,
} as const;

/** The device of the migration link in both hosts. */
export const linkDevice = "wire0";
/** The tap for a guest's NIC in both hosts. */
export const tapDevice = "guest0";

/** The namespaces of one pair of hosts. */
export interface LabNamespaces {
  readonly a: NetworkNamespace;
  readonly b: NetworkNamespace;
  /** The client that knows the guest by one address. */
  readonly client: NetworkNamespace;
  /** The switch of the guests' LAN. */
  readonly lan: NetworkNamespace;
  /** Between the hosts, where a link simulator works; null on a direct link. */
  readonly middle: NetworkNamespace | null;
}

/** All of {@link LabNamespaces} in a list. */
export function allNamespaces(namespaces: LabNamespaces): NetworkNamespace[] {
  const { a, b, client, lan, middle } = namespaces;
  return [a, b, client, lan, ...(middle === null ? [] : [middle])];
}

/** The names that a run's namespaces have, whether they exist or not. */
export function namespaceNamesOf(run: string, withMiddle: boolean): string[] {
  return ["a", "b", "client", "lan", ...(withMiddle ? ["middle"] : [])].map((part) => `${run}-${part}`);
}

/**
 * Makes the namespaces and lays the networks: the migration link (shaped at what leaves each host) and the guests'
 * LAN: a tap and a bridge in each host, joined with the client by a switch that learns where the guest's MAC is.
 */
export async function layNetwork(
  run: string,
  options: { withMiddle: boolean; bytesPerSecond: number | null },
  signal?: AbortSignal,
): Promise<LabNamespaces> {
  const made = await makeNamespaces(namespaceNamesOf(run, options.withMiddle), signal);
  const [a, b, client, lan, middle = null] = made as [
    NetworkNamespace,
    NetworkNamespace,
    NetworkNamespace,
    NetworkNamespace,
    NetworkNamespace?,
  ];
  await ipBetweenNamespaces(
    [
      ...(middle === null
        ? [cable(a, linkDevice, b, linkDevice)]
        : [cable(a, linkDevice, middle, "to-a"), cable(b, linkDevice, middle, "to-b")]),
      cable(a, "uplink", lan, "host-a"),
      cable(b, "uplink", lan, "host-b"),
      cable(client, "lan0", lan, "client"),
    ],
    signal,
  );
  const addresses = labAddresses;
  const aAddress = `${addresses.a}/24`;
  const bAddress = middle === null ? `${addresses.aPeer}/24` : `${addresses.b}/24`;
  await Promise.all([
    a.ip(hostLines(aAddress), signal),
    b.ip(hostLines(bAddress), signal),
    lan.ip(bridgeLines("switch0", ["host-a", "host-b", "client"]), signal),
    client.ip(
      [up("lo"), up("lan0"), `addr add ${addresses.client}/${addresses.guestPrefixBits} dev lan0`],
      signal,
    ),
    middle?.ip(
      [
        up("lo"),
        up("to-a"),
        up("to-b"),
        `addr add ${addresses.aPeer}/24 dev to-a`,
        `addr add ${addresses.bPeer}/24 dev to-b`,
      ],
      signal,
    ),
  ]);
  const shape = shapingLine(linkDevice, options.bytesPerSecond);
  await Promise.all([a.tc([shape], signal), b.tc([shape], signal)]);
  return { a, b, client, lan, middle };
}

function cable(one: NetworkNamespace, device: string, other: NetworkNamespace, otherDevice: string): string {
  return `link add name ${device} netns ${one.name} type veth peer name ${otherDevice} netns ${other.name}`;
}

function hostLines(linkAddress: string): string[] {
  return [
    up("lo"),
    up(linkDevice),
    `addr add ${linkAddress} dev ${linkDevice}`,
    `tuntap add dev ${tapDevice} mode tap`,
    ...bridgeLines("guests0", ["uplink", tapDevice]),
  ];
}

function bridgeLines(bridge: string, ports: readonly string[]): string[] {
  return [
    `link add name ${bridge} type bridge stp_state 0 mcast_snooping 0`,
    ...ports.flatMap((port) => [`link set dev ${port} master ${bridge}`, up(port)]),
    up(bridge),
  ];
}

// Without addresses of its own IPv6 sends nothing, and the byte counters stay at zero until we send.
function up(device: string): string {
  return `link set dev ${device} addrgenmode none up`;
}
