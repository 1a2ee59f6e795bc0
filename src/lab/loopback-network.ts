import type { SimulatedRoute } from "./link-simulator.ts";

/** Addresses of the two hosts on one loopback device, and of the simulator's stand-ins for them. */
export interface PairAddresses {
  readonly a: string;
  readonly b: string;
  /** Where a finds b, and b finds a. */
  readonly aPeer: string;
  readonly bPeer: string;
}

let serial = 0;

/** Four addresses of 127.0.0.0/8 that no other run of the lab uses: they are made of this process's id. */
export function loopbackAddresses(): PairAddresses {
  const block = ((process.pid % 2 ** 19) * 2 + (serial % 2)) * 4;
  serial += 1;
  const address = (offset: number) => {
    const host = 2 ** 23 + block + offset;
    return `127.${(host >>> 16) & 255}.${(host >>> 8) & 255}.${host & 255}`;
  };
  return { a: address(0), b: address(1), aPeer: address(2), bPeer: address(3) };
}

/** The routes by which a simulator stands for each host towards the other, on the given ports. */
export function routesBetween(addresses: PairAddresses, ports: readonly number[]): SimulatedRoute[] {
  const { a, b, aPeer, bPeer } = addresses;
  return ports.flatMap((port) => [
    {
      listenHost: aPeer,
      listenPort: port,
      targetHost: b,
      targetPort: port,
      sourceHost: bPeer,
      direction: "forward" as const,
    },
    {
      listenHost: bPeer,
      listenPort: port,
      targetHost: a,
      targetPort: port,
      sourceHost: aPeer,
      direction: "backward" as const,
    },
  ]);
}
