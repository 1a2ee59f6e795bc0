# What has to be installed on the system itself. Sourced by scripts/setup.

missing_system_packages() {
  command -v gcc >/dev/null || echo gcc
  [ -e /usr/lib/x86_64-linux-gnu/libc.a ] || echo libc6-dev
  # For the guest's driver: the kernel's makefiles, and a tool of theirs that reads object files.
  command -v make >/dev/null || echo make
  [ -e /usr/lib/x86_64-linux-gnu/libelf.so.1 ] || echo libelf1
  PATH=$PATH:/usr/sbin:/sbin command -v tc >/dev/null || echo iproute2
}

system_packages() {
  local missing install
  mapfile -t missing < <(missing_system_packages)
  [ ${#missing[@]} = 0 ] && return
  if ! is_root; then
    pending+=("as root: apt-get install ${missing[*]}")
    return
  fi
  say "system packages: installing ${missing[*]}"
  # Two minutes: another package manager that runs just now (unattended-upgrades) should have ended by then.
  install=(apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install "${missing[@]}")
  export DEBIAN_FRONTEND=noninteractive
  "${install[@]}" >"$build/apt-install.log" 2>&1 && return
  # Old package lists name versions that the mirror no longer has.
  say "system packages: refreshing the package lists"
  apt-get -q update >>"$build/apt-install.log" 2>&1 && "${install[@]}" >>"$build/apt-install.log" 2>&1 && return
  tail -n 5 "$build/apt-install.log" >&2
  fail "could not install ${missing[*]} (whole log: $build/apt-install.log)"
}
