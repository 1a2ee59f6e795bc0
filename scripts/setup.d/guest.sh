# The guest: Debian's kernel, busybox, and our own programs in an initrd. Sourced by scripts/setup.

guest=$build/guest
guest_packages=$build/guest-packages

# What the guest's devices need. virtio_balloon is for comparisons with stock QEMU's free-page hints.
guest_modules=(
  virtio_pci virtio_net virtio_blk virtio_console virtio_balloon virtio-rng net_failover
  crc32c_generic ext4
)

guest_all() {
  guest_fetch
  guest_driver_all
  guest_image
}

# Packages, unpacked: kernel, busybox, and what unpacks the other guest's kernel.
guest_fetch() {
  guest_unpack_kernel "$guest_packages" linux-image-cloud-amd64 \
    "guest: fetching and unpacking kernel, busybox and xz (about 30 MB)" busybox-static xz-utils
}

guest_busybox() {
  # /bin on Debian 12, /usr/bin from Debian 13 on.
  find "$guest_packages/bin" "$guest_packages/usr/bin" -name busybox 2>/dev/null | head -n 1 || true
}

# guest_copy_module NAME TARGET: copies a module after everything it depends on, and appends it to TARGET/order
# once. A module's file name may have dashes where its name has underscores.
guest_copy_module() {
  local name=${1//-/_} target=$2 file dependency
  local pattern=${name//_/[-_]}
  grep -qx "$name.ko" "$target/order" && return
  file=$(find "$module_folder" -name "$pattern.ko" -o -name "$pattern.ko.xz")
  if [ -z "$file" ]; then
    grep -q "/$pattern\.ko$" "$module_folder/modules.builtin" || fail "the guest's kernel has no module $name"
    return 0
  fi
  case $file in
    *.xz) "$busybox" xzcat "$file" >"$target/$name.ko" ;;
    *) cp "$file" "$target/$name.ko" ;;
  esac
  # The module's own record of what it needs: depends=a,b
  while read -r dependency; do
    [ -z "$dependency" ] || guest_copy_module "$dependency" "$target"
  done < <(tr '\0' '\n' <"$target/$name.ko" | sed -n 's/^depends=//p' | tr ',' '\n')
  echo "$name.ko" >>"$target/order"
}

# guest_unpack_kernel TARGET METAPACKAGE TEXT PACKAGE...: fetches and unpacks the kernel that a metapackage of Debian's
# depends on, and other packages with it.
guest_unpack_kernel() {
  local target=$1 metapackage=$2 what=$3 digest kernel
  shift 3
  digest=$(digest_of -- "$codename" "$metapackage" "$@")
  step_is_current "$target/.stamp" "$digest" && return
  archive_prepare
  # The metapackage depends on the current kernel of its flavour.
  kernel=$(archive_cache depends "$metapackage" | awk '/Depends: linux-image-/ { print $2; exit }')
  [ -n "$kernel" ] || fail "Debian's archive names no $metapackage"
  say "$what: $kernel"
  unpack_alone "$target.new" "$kernel" "$@"
  echo "${kernel#linux-image-}" >"$target.new/release"
  echo "$digest" >"$target.new/.stamp"
  put_in_place "$target.new" "$target"
}

# guest_begin_image TARGET PACKAGES: sets release, busybox, module_folder and tree, and lays the tree out.
guest_begin_image() {
  local target=$1 packages=$2
  release=$(cat "$packages/release")
  busybox=$(guest_busybox)
  # /lib on Debian 12, /usr/lib from Debian 13 on.
  module_folder=$(find "$packages" -type d -path "*/lib/modules/$release")
  tree=$target.new/tree
  rm -rf "$target.new"
  mkdir -p "$tree"/{bin,dev,etc,proc,sys,tmp,modules}
  cp "$busybox" "$tree/bin/busybox"
  cp -r "$root/guest/initrd/." "$tree/"
  chmod +x "$tree/init"
  : >"$tree/modules/order"
}

# guest_put_kernel IMAGE FILE: unpacks a kernel's image, since an emulated guest is slow to do it; leaves it as it is where
# it is packed in a way that isn't known.
guest_put_kernel() {
  "$root/node_modules/.bin/node" "$here/unpack-kernel.ts" "$1" "$2" "$guest_packages/usr/bin/xz" 2>/dev/null || cp "$1" "$2"
}

# guest_end_image TARGET PACKAGES DIGEST: packs the tree, puts the kernel beside it and both in place.
guest_end_image() {
  local target=$1 packages=$2 digest=$3
  # Without their signatures: checking these costs an emulated guest a tenth of a second.
  strip --strip-debug "$tree"/modules/*.ko
  # Uncompressed: unpacking costs an emulated guest more than reading.
  (cd "$tree" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc 2>/dev/null) >"$target.new/initrd.img"
  guest_put_kernel "$packages/boot/vmlinuz-$release" "$target.new/kernel"
  rm -rf "$tree"
  echo "$digest" >"$target.new/.stamp"
  put_in_place "$target.new" "$target"
}

guest_driver_stamp() { cat "$guest_driver/.stamp" 2>/dev/null || echo none; }

guest_image() {
  local digest sources release busybox tree module module_folder
  mapfile -t sources < <(guest_sources)
  digest=$(digest_of "${sources[@]}" "$guest_packages/release" "$here/guest.sh" "$here/unpack-kernel.ts" -- "$(guest_driver_stamp)")
  step_is_current "$guest/.stamp" "$digest" && return
  if ! command -v gcc >/dev/null || [ ! -e /usr/lib/x86_64-linux-gnu/libc.a ]; then
    say "guest: no image without a C compiler"
    return
  fi
  say "guest: building the image"
  guest_begin_image "$guest" "$guest_packages"
  gcc -O2 -Wall -Wextra -static -pthread -s -o "$guest.new/load" "$root"/guest/load/*.c
  cp "$guest.new/load" "$tree/bin/load"
  gcc -O2 -Wall -Wextra -static -s -o "$tree/bin/helper" "$root"/guest/helper/*.c
  for module in "${guest_modules[@]}"; do
    guest_copy_module "$module" "$tree/modules"
  done
  [ ! -e "$guest_driver/godwit_guest.ko" ] || cp "$guest_driver/godwit_guest.ko" "$tree/modules/"
  guest_end_image "$guest" "$guest_packages" "$digest"
}
