# QEMU, unpacked with its libraries and firmware under build/qemu-VERSION. Sourced by scripts/setup.

# Which suite has which version, by Debian release.
qemu_suite() {
  case "$codename $1" in
    "bookworm 10.0") echo bookworm-backports ;;
    "bookworm 7.2") echo bookworm ;;
    "trixie 10.0") echo trixie ;;
  esac
}

qemu_all() {
  local version
  for version in 10.0 7.2; do
    if [ -n "$(qemu_suite "$version")" ]; then
      qemu_one "$version"
    else
      say "QEMU $version: not in Debian $codename, what needs it will be skipped"
    fi
  done
  rm -rf "$archive/cache/archives"
}

# qemu_wrapper PROGRAM [OPTION...]: a script that runs an unpacked program with its own libraries and modules.
# exec keeps the process id, so that a pid file or a signal means QEMU.
qemu_wrapper() {
  local program=$1
  shift
  cat <<EOF
#!/bin/sh
root=\${0%/*}/root
libraries=\$root/usr/lib/x86_64-linux-gnu
LD_LIBRARY_PATH=\$libraries:\$root/lib/x86_64-linux-gnu:\$libraries/pulseaudio QEMU_MODULE_DIR=\$libraries/qemu
export LD_LIBRARY_PATH QEMU_MODULE_DIR
exec "\$root/usr/bin/$program" $*${*:+ }"\$@"
EOF
}

qemu_one() {
  local version=$1 folder=$build/qemu-$1 fresh=$build/qemu-$1.new suite digest program
  suite=$(qemu_suite "$version")
  digest=$(digest_of "$here/qemu.sh" -- "$suite")
  step_is_current "$folder/.stamp" "$digest" && return
  archive_prepare
  say "QEMU $version: fetching and unpacking from $suite (about 40 MB)"
  # The C library is the system's own: its loader must fit it. Of the other dependencies only libraries matter.
  unpack_with_dependencies "$fresh/root" "$suite" '^(qemu-|seabios|ipxe-qemu|lib[^c]|libc[^6])' \
    qemu-system-x86 qemu-utils
  # Debian 12's own QEMU looks for firmware beside itself, the newer ones only under /usr.
  # shellcheck disable=SC2016
  qemu_wrapper qemu-system-x86_64 -L '"$root/usr/share/qemu"' -L '"$root/usr/share/seabios"' \
    -L '"$root/usr/lib/ipxe/qemu"' >"$fresh/qemu-system-x86_64"
  qemu_wrapper qemu-img >"$fresh/qemu-img"
  qemu_wrapper qemu-nbd >"$fresh/qemu-nbd"
  chmod +x "$fresh/qemu-system-x86_64" "$fresh/qemu-img" "$fresh/qemu-nbd"
  for program in qemu-system-x86_64 qemu-img; do
    "$fresh/$program" --version 2>&1 | grep -q "version $version\." || {
      "$fresh/$program" --version >&2 || true
      fail "QEMU $version: the unpacked $program doesn't run or is of another version"
    }
  done
  # A machine that doesn't start its CPU proves firmware and machine types.
  "$fresh/qemu-system-x86_64" -S -M pc -m 16 -display none -monitor stdio <<<quit >/dev/null ||
    fail "QEMU $version: the unpacked QEMU finds no firmware"
  echo "$digest" >"$fresh/.stamp"
  put_in_place "$fresh" "$folder"
}
