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
  guest_unpack_kernel "$metal_guest_packages" linux-image-amd64 \
    "metal guest: fetching and unpacking a kernel (about 70 MB)"
}

metal_guest_image() {
  local digest sources release busybox tree module module_folder
  mapfile -t sources < <(guest_sources)
  digest=$(digest_of "${sources[@]}" "$metal_guest_packages/release" "$here/metal-guest.sh" "$here/guest.sh" \
    "$here/unpack-kernel.ts")
  step_is_current "$metal_guest/.stamp" "$digest" && return
  if [ ! -e "$guest/load" ]; then
    say "metal guest: no image without the other guest's load generator"
    return
  fi
  say "metal guest: building the image"
  guest_begin_image "$metal_guest" "$metal_guest_packages"
  cp "$guest/load" "$tree/bin/load"
  for module in "${metal_guest_modules[@]}"; do
    guest_copy_module "$module" "$tree/modules"
  done
  guest_end_image "$metal_guest" "$metal_guest_packages" "$digest"
}
