import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { GodwitError } from "../base/errors.ts";
import { runCommand } from "./command.ts";
import { runFirst } from "./first-in-line.ts";
import type { Hosts } from "./hosts.ts";
import { MetalSwitch } from "./metal-switch.ts";
import { labAddresses } from "./namespace-network.ts";
import type { RunFolder } from "./run-folder.ts";

/** The client's end of the LAN, in its namespace. */
const TAP = "metal0";

/**
 * The LAN of physical machines: the switch, and a QEMU without a machine that joins the client's tap device to it, so
 * that the client's is the kernel's own network stack.
 */
export class MetalLan implements AsyncDisposable {
  readonly switch: MetalSwitch;
  readonly #cable: ChildProcess;

  private constructor(lan: MetalSwitch, cable: ChildProcess) {
    this.switch = lan;
    this.#cable = cable;
  }

  /**
   * Lays it; the client's address moves from the lab's usual LAN to it.
   * @throws GodwitError `GODWIT_LAB_HOSTS` without network namespaces, `GODWIT_LAB_COMMAND`
   */
  static async lay(hosts: Hosts, folder: RunFolder, qemu: string): Promise<MetalLan> {
    const client = hosts.client;
    if (client?.namespace == null) {
      throw new GodwitError("GODWIT_LAB_HOSTS", "physical machines need network namespaces", {
        side: "local",
        advice: "run as root, or where unprivileged user namespaces are allowed",
      });
    }
    const address = `${labAddresses.client}/${labAddresses.guestPrefixBits}`;
    await client.namespace.ip([
      `addr del ${address} dev lan0`,
      `tuntap add dev ${TAP} mode tap`,
      `link set dev ${TAP} addrgenmode none up`,
      `addr add ${address} dev ${TAP}`,
    ]);
    const lan = await MetalSwitch.start(folder.inside("lan.sock"));
    const netdevs = [
      `tap,id=tap,ifname=${TAP},script=no,downscript=no`,
      streamBackend(lan.path, "lan"),
      "hubport,id=one,hubid=0,netdev=tap",
      "hubport,id=two,hubid=0,netdev=lan",
    ].flatMap((backend) => ["-netdev", backend]);
    const nothing = ["-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"];
    const cable = client.spawn(qemu, [...nothing, ...netdevs], {
      detached: true,
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (cable.pid !== undefined) runFirst(cable.pid);
    await carrier(client.namespace.name, cable);
    return new MetalLan(lan, cable);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#cable.exitCode === null && this.#cable.signalCode === null) {
      const gone = once(this.#cable, "exit");
      this.#cable.kill("SIGKILL");
      await gone;
    }
    await this.switch[Symbol.asyncDispose]();
  }
}

/** A `-netdev` that is plugged into the switch; `id` where none is added. */
export function streamBackend(path: string, id?: string): string {
  return `stream,${id === undefined ? "" : `id=${id},`}server=off,addr.type=unix,addr.path=${path}`;
}

/** Waits until QEMU has opened the tap. */
async function carrier(namespace: string, cable: ChildProcess): Promise<void> {
  for (;;) {
    const state = await runCommand("ip", ["-n", namespace, "-br", "link", "show", "dev", TAP]);
    if (/LOWER_UP/.test(state)) return;
    if (cable.exitCode !== null) {
      throw new GodwitError("GODWIT_LAB_HOSTS", "the QEMU that joins the client to the LAN has ended", {
        side: "local",
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
