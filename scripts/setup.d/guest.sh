# The guest: Debian's kernel, busybox, and the load generator in an initrd. Sourced by scripts/setup.

guest=$build/guest
guest_packages=$build/guest-packages

# What the guest's devices need. virtio_balloon is for comparisons with stock QEMU's free-page hints.
guest_modules=(
  virtio_pci virtio_net virtio_blk virtio_console virtio_balloon virtio-rng net_failover
  crc32c_generic ext4
)

guest_all() {
  guest_fetch
  guest_image
}

# Kernel and busybox packages, unpacked.
guest_fetch() {
  local digest kernel
  digest=$(digest_of -- "$codename" linux-image-cloud-amd64 busybox-static)
  step_is_current "$guest_packages/.stamp" "$digest" && return
  archive_prepare
  # The metapackage depends on the current kernel of its flavour.
  kernel=$(archive_cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
  [ -n "$kernel" ] || fail "Debian's archive names no linux-image-cloud-amd64"
  say "guest: fetching and unpacking $kernel and busybox (about 30 MB)"
  unpack_alone "$guest_packages.new" "$kernel" busybox-static
  echo "${kernel#linux-image-}" >"$guest_packages.new/release"
  echo "$digest" >"$guest_packages.new/.stamp"
  rm -rf "$guest_packages"
  mv "$guest_packages.new" "$guest_packages"
}

guest_busybox() {
  # /bin on Debian 12, /usr/bin from Debian 13 on.
  find "$guest_packages/bin" "$guest_packages/usr/bin" -name busybox 2>/dev/null | head -n 1 || true
}

# guest_module_file FOLDER NAME: the module's file, nothing if it is built in. A module's file name may have
# dashes where its name has underscores.
guest_module_file() {
  find "$1" -name "${2//[-_]/[-_]}.ko" -o -name "${2//[-_]/[-_]}.ko.xz" | head -n 1
}

# guest_copy_module FOLDER NAME TARGET: copies a module after everything it depends on, and appends it to
# TARGET/order once.
guest_copy_module() {
  local folder=$1 name=${2//-/_} target=$3 file dependency
  grep -qx "$name.ko" "$target/order" && return
  file=$(guest_module_file "$folder" "$name")
  [ -n "$file" ] || return 0
  case $file in
    *.xz) "$busybox" xzcat "$file" >"$target/$name.ko" ;;
    *) cp "$file" "$target/$name.ko" ;;
  esac
  # The module's own record of what it needs: depends=a,b
  while read -r dependency; do
    [ -z "$dependency" ] || guest_copy_module "$folder" "$dependency" "$target"
  done < <(tr '\0' '\n' <"$target/$name.ko" | sed -n 's/^depends=//p' | tr ',' '\n')
  echo "$name.ko" >>"$target/order"
}

guest_image() {
  local digest sources release busybox tree module
  mapfile -t sources < <(guest_sources)
  digest=$(digest_of "${sources[@]}" "$guest_packages/release" "$here/guest.sh")
  step_is_current "$guest/.stamp" "$digest" && return
  if ! command -v gcc >/dev/null || [ ! -e /usr/lib/x86_64-linux-gnu/libc.a ]; then
    say "guest: no image without a C compiler"
    return
  fi
  say "guest: building the image"
  release=$(cat "$guest_packages/release")
  busybox=$(guest_busybox)
  tree=$build/guest.new/tree
  rm -rf "$build/guest.new"
  mkdir -p "$tree"/{bin,dev,etc,proc,sys,tmp,modules}
  cp "$busybox" "$tree/bin/busybox"
  cp -r "$root/guest/initrd/." "$tree/"
  chmod +x "$tree/init"
  gcc -O2 -Wall -Wextra -static -pthread -s -o "$build/guest.new/load" "$root"/guest/load/*.c
  cp "$build/guest.new/load" "$tree/bin/load"
  : >"$tree/modules/order"
  for module in "${guest_modules[@]}"; do
    guest_copy_module "$guest_packages" "$module" "$tree/modules"
  done
  # Uncompressed: unpacking costs an emulated guest more than reading.
  (cd "$tree" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc 2>/dev/null) >"$build/guest.new/initrd.img"
  cp "$guest_packages/boot/vmlinuz-$release" "$build/guest.new/vmlinuz"
  rm -rf "$tree"
  echo "$digest" >"$build/guest.new/.stamp"
  rm -rf "$guest"
  mv "$build/guest.new" "$guest"
}
