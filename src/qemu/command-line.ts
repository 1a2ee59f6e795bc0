import { DOORBELL_DESCRIPTOR } from "./doorbell.ts";
import type { Disk, Machine, Nic, NicBackend } from "./machine.ts";
import { diskId, HUGE_PAGE_BYTES, hasHugePages } from "./machine-checks.ts";
import { channelSocket, memoryFile, statePaths } from "./state-paths.ts";

/** First PCI slot of each kind; they must never change, or a running guest can't move to a newer Godwit. */
const VGA_SLOT = 0x02;
const FIRST_NIC_SLOT = 0x03;
const FIRST_DISK_SLOT = 0x0b;
const CHANNELS_SLOT = 0x1b;
const DOORBELL_SLOT = 0x1e;

/** What the command line depends on besides the machine. */
export interface CommandLineOptions {
  /** The state folder, absolute. */
  readonly folder: string;
  /** Wait for a migration (`-incoming defer`); `migrate-incoming` then says where from. */
  readonly incoming?: "defer" | undefined;
  /** Don't start the guest's processors (`-S`); with `incoming`, stay paused after the migration. */
  readonly paused?: boolean | undefined;
  /** Whether a disk's path is a block device; default: none is. */
  readonly isBlockDevice?: (path: string) => boolean;
}

/**
 * The arguments that start a machine. The same machine gives the same devices with the same ids at the same
 * addresses wherever it starts, in whatever order its parts are listed after it was read; only paths inside the
 * state folder differ.
 */
export function commandLine(machine: Machine, options: CommandLineOptions): string[] {
  const { folder } = options;
  const paths = statePaths(folder);
  return [
    ...["-name", `guest=${machine.name},debug-threads=on`],
    ...["-no-user-config", "-nodefaults", "-display", "none", "-vga", "none"],
    ...["-msg", "timestamp=on", "-pidfile", paths.pidFile],
    ...memoryArguments(machine, folder),
    ...["-accel", machine.accelerator, "-cpu", machine.cpu],
    ...["-smp", `cpus=${machine.vcpus},sockets=1,cores=${machine.vcpus},threads=1`],
    ...["-rtc", "base=utc"],
    ...monitor("godwit-qmp", paths.qmpSocket),
    ...monitor("godwit-oob", paths.outOfBandSocket),
    ...bootArguments(machine),
    ...(machine.vga === "std" ? device(machine, VGA_SLOT, { driver: "VGA", id: "vga" }) : []),
    ...machine.nics.flatMap((nic, index) => nicArguments(machine, nic, index)),
    ...machine.disks.flatMap((disk, index) => diskArguments(machine, disk, index, options)),
    ...serialArguments(machine, paths.serialLog),
    ...channelArguments(machine, folder),
    ...doorbellArguments(machine),
    ...(options.incoming === undefined ? [] : ["-incoming", options.incoming]),
    ...(options.paused === true ? ["-S"] : []),
    ...machine.extraArguments,
  ];
}

function memoryArguments(machine: Machine, folder: string): string[] {
  const size = `${machine.memoryBytes / 1024}K`;
  const type = [machine.machine, `hpet=${machine.hpet ? "on" : "off"}`];
  const path = memoryFile(folder, machine);
  if (machine.memoryBackend.kind === "private") return ["-machine", type.join(","), "-m", size];
  const object = {
    "qom-type": path === null ? "memory-backend-memfd" : "memory-backend-file",
    // The RAM block keeps the name that it has without a backend, so that both kinds can be mixed in a migration.
    id: "pc.ram",
    "x-use-canonical-path-for-ramblock-id": false,
    size: machine.memoryBytes,
    share: true,
    ...(path === null ? {} : { "mem-path": path }),
    ...(hasHugePages(machine) ? { hugetlb: true, hugetlbsize: HUGE_PAGE_BYTES } : {}),
  };
  return [
    "-object",
    JSON.stringify(object),
    "-machine",
    [...type, "memory-backend=pc.ram"].join(","),
    "-m",
    size,
  ];
}

function monitor(id: string, path: string): string[] {
  return [
    ...["-chardev", `socket,id=${id},path=${escapeCommas(path)},server=on,wait=off`],
    ...["-mon", `chardev=${id},mode=control`],
  ];
}

function bootArguments({ kernel, initrd, append }: Machine): string[] {
  return [
    ...(kernel === undefined ? [] : ["-kernel", kernel]),
    ...(initrd === undefined ? [] : ["-initrd", initrd]),
    ...(append === undefined ? [] : ["-append", append]),
  ];
}

function nicArguments(machine: Machine, nic: Nic, index: number): string[] {
  const id = `net${index}`;
  const backend = netdev(nic.backend, `${id}-backend`);
  const properties = {
    driver: nic.model,
    id,
    mac: nic.mac,
    ...(backend.length === 0 ? {} : { netdev: `${id}-backend` }),
    // A boot ROM is a RAM block whose size depends on the host's iPXE package.
    romfile: "",
  };
  return [...backend, ...device(machine, FIRST_NIC_SLOT + index, properties)];
}

function netdev(backend: NicBackend, id: string): string[] {
  switch (backend.kind) {
    case "tap": {
      const tap = {
        type: "tap",
        id,
        ifname: backend.interface,
        script: "no",
        downscript: "no",
        vhost: false,
      };
      return ["-netdev", JSON.stringify(tap)];
    }
    case "user": {
      const hostfwd = backend.hostForward.map((str) => ({ str }));
      return ["-netdev", JSON.stringify({ type: "user", id, ...(hostfwd.length === 0 ? {} : { hostfwd }) })];
    }
    case "netdev":
      return ["-netdev", `${backend.options},id=${id}`];
    case "none":
      return [];
  }
}

function diskArguments(machine: Machine, disk: Disk, index: number, options: CommandLineOptions): string[] {
  const id = diskId(disk, index);
  const cache = { direct: disk.cache === "none", "no-flush": false };
  const driver = options.isBlockDevice?.(disk.path) === true ? "host_device" : "file";
  const node = {
    driver: disk.format,
    "node-name": id,
    "read-only": disk.readOnly,
    cache,
    file: { driver, filename: disk.path, "read-only": disk.readOnly, cache },
  };
  const properties = {
    driver: "virtio-blk-pci",
    id: `${id}-device`,
    drive: id,
    "write-cache": disk.cache === "writethrough" ? "off" : "on",
    // With a kernel of its own the machine boots from that, and QEMU gives its loader the first place.
    ...(machine.kernel === undefined ? { bootindex: index } : {}),
    ...(disk.serial === undefined ? {} : { serial: disk.serial }),
  };
  return ["-blockdev", JSON.stringify(node), ...device(machine, FIRST_DISK_SLOT + index, properties)];
}

function serialArguments(machine: Machine, path: string): string[] {
  if (machine.serial === "none") return [];
  const chardev = `file,id=godwit-serial,path=${escapeCommas(path)},append=on`;
  return ["-chardev", chardev, "-serial", "chardev:godwit-serial"];
}

function channelArguments(machine: Machine, folder: string): string[] {
  if (machine.channels.length === 0) return [];
  const ports = machine.channels.flatMap(({ name }, index) => {
    const id = `godwit-channel${index}`;
    const path = escapeCommas(channelSocket(folder, index));
    const port = {
      driver: "virtserialport",
      id: `channel${index}`,
      bus: "channels.0",
      nr: index + 1,
      chardev: id,
      name,
    };
    return [
      ...["-chardev", `socket,id=${id},path=${path},server=on,wait=off`],
      ...["-device", JSON.stringify(port)],
    ];
  });
  return [...device(machine, CHANNELS_SLOT, { driver: "virtio-serial-pci", id: "channels" }), ...ports];
}

/** Migratable: what lies in its memory moves with the guest, and the other side has one of its own. */
function doorbellArguments(machine: Machine): string[] {
  if (!machine.doorbell) return [];
  const properties = {
    driver: "ivshmem-doorbell",
    id: "doorbell",
    chardev: "godwit-doorbell",
    vectors: 1,
    master: "on",
  };
  return [
    ...["-chardev", `socket,id=godwit-doorbell,fd=${DOORBELL_DESCRIPTOR}`],
    ...device(machine, DOORBELL_SLOT, properties),
  ];
}

function device(machine: Machine, slot: number, properties: Readonly<Record<string, unknown>>): string[] {
  const bus = /q35/.test(machine.machine) ? "pcie.0" : "pci.0";
  return ["-device", JSON.stringify({ ...properties, bus, addr: `0x${slot.toString(16)}` })];
}

/** QEMU's option syntax has no other escape than a doubled comma. */
function escapeCommas(text: string): string {
  return text.replaceAll(",", ",,");
}
