# The guest's kernel module, built against the headers of the guest's own kernel. Sourced by scripts/setup.

guest_headers=$build/guest-headers
guest_driver=$build/guest-driver

guest_driver_all() {
  if ! command -v gcc >/dev/null || ! command -v make >/dev/null; then
    say "guest: no driver without a C compiler and make"
    return
  fi
  guest_headers_fetch
  guest_driver_build
}

# The headers of just that kernel and the tools that go with them, unpacked.
guest_headers_fetch() {
  local release package digest packages
  release=$(cat "$guest_packages/release")
  digest=$(digest_of -- "$codename" "$release")
  step_is_current "$guest_headers/.stamp" "$digest" && return
  archive_prepare
  package=linux-headers-$release
  # Its own dependencies: the part common to all flavours, and linux-kbuild. The compiler is the system's.
  mapfile -t packages < <(archive_cache depends "$package" |
    awk '/Depends: linux-(headers|kbuild)-/ { print $2 }')
  [ ${#packages[@]} -ge 2 ] || fail "Debian's archive has no headers for the guest's kernel $release"
  say "guest: fetching and unpacking $package (about 15 MB)"
  unpack_alone "$guest_headers.new" "$package" "${packages[@]}"
  echo "$digest" >"$guest_headers.new/.stamp"
  put_in_place "$guest_headers.new" "$guest_headers"
}

guest_driver_build() {
  local digest sources work kernel log=$build/guest-driver.log
  mapfile -t sources < <(find "$root/guest/driver" -type f ! -name '*.md' | LC_ALL=C sort)
  digest=$(digest_of "${sources[@]}" "$guest_headers/.stamp" "$here/guest-driver.sh")
  step_is_current "$guest_driver/.stamp" "$digest" && return
  say "guest: building the driver"
  # In a copy whose path the kernel's makefiles bear: they take no spaces, and name /usr/src absolutely.
  work=$(mktemp -d)
  cp -r "$guest_headers/usr" "$work/usr"
  cp -r "$root/guest/driver" "$work/driver"
  sed -i "s#^include /usr/src/#include $work/usr/src/#" "$work"/usr/src/*/Makefile
  kernel=$work/usr/src/linux-headers-$(cat "$guest_packages/release")
  # No BTF: it would need pahole, and nobody reads it here.
  if ! make -C "$kernel" M="$work/driver" CC=gcc CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -rf "$work"
    fail "the guest's driver could not be built (whole log: $log)"
  fi
  rm -rf "$guest_driver.new"
  mkdir -p "$guest_driver.new"
  cp "$work/driver/godwit_guest.ko" "$guest_driver.new/"
  rm -rf "$work"
  echo "$digest" >"$guest_driver.new/.stamp"
  put_in_place "$guest_driver.new" "$guest_driver"
}
