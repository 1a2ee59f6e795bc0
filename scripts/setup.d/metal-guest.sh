# A guest with real hardware's drivers, for the lab's physical machines: Debian's full kernel, whose modules know the
# NICs and disks that QEMU imitates, in an initrd like the other guest's. Sourced by scripts/setup, after guest.sh.

metal_guest=$build/metal-guest
metal_guest_packages=$build/metal-guest-packages

# The NICs that Godwit can rebuild, and ext4 and nbd for what is written over them.
metal_guest_modules=(8139cp pcnet32 e1000 nbd)

metal_guest_all() {
  metal_guest_fetch
  metal_guest_image
}

metal_guest_fetch() {
  local digest kernel
  digest=$(digest_of -- "$codename" linux-image-amd64)
  step_is_current "$metal_guest_packages/.stamp" "$digest" && return
  archive_prepare
  kernel=$(archive_cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
  [ -n "$kernel" ] || fail "Debian's archive names no linux-image-amd64"
  say "metal guest: fetching and unpacking $kernel (about 70 MB)"
  unpack_alone "$metal_guest_packages.new" "$kernel"
  echo "${kernel#linux-image-}" >"$metal_guest_packages.new/release"
  echo "$digest" >"$metal_guest_packages.new/.stamp"
  put_in_place "$metal_guest_packages.new" "$metal_guest_packages"
}

metal_guest_image() {
  local digest sources release busybox tree module module_folder
  mapfile -t sources < <(guest_sources)
  digest=$(digest_of "${sources[@]}" "$metal_guest_packages/release" "$here/metal-guest.sh" "$here/guest.sh")
  step_is_current "$metal_guest/.stamp" "$digest" && return
  if [ ! -e "$guest/load" ]; then
    say "metal guest: no image without the other guest's load generator"
    return
  fi
  say "metal guest: building the image"
  release=$(cat "$metal_guest_packages/release")
  busybox=$(guest_busybox)
  module_folder=$(find "$metal_guest_packages" -type d -path "*/lib/modules/$release")
  tree=$build/metal-guest.new/tree
  rm -rf "$build/metal-guest.new"
  mkdir -p "$tree"/{bin,dev,etc,proc,sys,tmp,modules}
  cp "$busybox" "$tree/bin/busybox"
  cp -r "$root/guest/initrd/." "$tree/"
  chmod +x "$tree/init"
  cp "$guest/load" "$tree/bin/load"
  : >"$tree/modules/order"
  for module in "${metal_guest_modules[@]}"; do
    guest_copy_module "$module" "$tree/modules"
  done
  strip --strip-debug "$tree"/modules/*.ko
  (cd "$tree" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc 2>/dev/null) >"$build/metal-guest.new/initrd.img"
  cp "$metal_guest_packages/boot/vmlinuz-$release" "$build/metal-guest.new/vmlinuz"
  rm -rf "$tree"
  echo "$digest" >"$build/metal-guest.new/.stamp"
  put_in_place "$build/metal-guest.new" "$metal_guest"
}
