/** Options that Godwit sets itself, and where the machine file says the same. */
const OWN_OPTIONS: ReadonlyMap<string, string> = new Map([
  ["qmp", "Godwit opens the monitors"],
  ["qmp-pretty", "Godwit opens the monitors"],
  ["monitor", "Godwit opens the monitors"],
  ["mon", "Godwit opens the monitors"],
  ["incoming", "Godwit decides which machine waits for a migration"],
  ["S", "Godwit decides when the guest starts"],
  ["preconfig", "Godwit decides when the guest starts"],
  ["loadvm", "Godwit decides what the guest starts from"],
  ["daemonize", "Godwit detaches QEMU by itself"],
  ["pidfile", "Godwit keeps the pid"],
  ["runas", "Godwit reads the memory of a QEMU that runs as its own user"],
  ["run-with", "Godwit's sockets must stay reachable under the same paths"],
  ["chroot", "Godwit's sockets must stay reachable under the same paths"],
  ["nographic", "Godwit has no console; see `serial`"],
  ["display", "Godwit's machines have no display"],
  ["curses", "Godwit's machines have no display"],
  ["readconfig", "every setting must be in the machine file, so that both hosts have it"],
  ["nodefaults", "Godwit sets it already"],
  ["no-user-config", "Godwit sets it already"],
  ["snapshot", "its temporary image cannot move to another host"],
  ["name", "use `name`"],
  ["m", "use `memory`"],
  ["smp", "use `vcpus`"],
  ["machine", "use `machine`"],
  ["M", "use `machine`"],
  ["accel", "use `accelerator`"],
  ["enable-kvm", "use `accelerator`"],
  ["cpu", "use `cpu`"],
  ["kernel", "use `kernel`"],
  ["initrd", "use `initrd`"],
  ["append", "use `append`"],
  ["vga", "use `vga`"],
  ["serial", "use `serial`"],
  ["mem-path", "use `memoryBackend`"],
  ["version", "it makes QEMU end at once"],
  ["help", "it makes QEMU end at once"],
  ["h", "it makes QEMU end at once"],
]);

/** Why an extra argument can't be taken, or null where it can. */
export function extraArgumentProblem(argument: string): string | null {
  if (argument.includes("\0")) return "a NUL character cannot be passed to a program";
  if (!argument.startsWith("-")) return null;
  const option = argument.replace(/^--?/, "").split("=", 1)[0] ?? "";
  const reason = OWN_OPTIONS.get(option);
  return reason === undefined ? null : `-${option} is not allowed here: ${reason}`;
}

/** True when one of the arguments after `-device` lacks an explicit address. */
export function hasUnplacedDevice(extraArguments: readonly string[]): boolean {
  return extraArguments.some((argument, index) => {
    const before = extraArguments[index - 1];
    return (
      (before === "-device" || before === "--device") && !/\baddr\b|virtserialport|virtconsole/.test(argument)
    );
  });
}
