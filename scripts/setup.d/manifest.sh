# build/manifest.json: where everything is. Sourced by scripts/setup.

manifest_qemu() {
  local version folder separator=''
  for version in 10.0 7.2; do
    folder=$build/qemu-$version
    [ -e "$folder/.stamp" ] || continue
    printf '%s\n    "%s": { "binary": "%s", "img": "%s", "version": "%s" }' "$separator" "$version" \
      "$folder/qemu-system-x86_64" "$folder/qemu-img" \
      "$("$folder/qemu-system-x86_64" --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')"
    separator=,
  done
}

manifest_guest() {
  if [ -e "$guest/.stamp" ]; then
    printf '{ "kernel": "%s", "initrd": "%s", "load": "%s", "kernelRelease": "%s" }' \
      "$guest/kernel" "$guest/initrd.img" "$guest/load" "$(cat "$guest_packages/release")"
  else
    printf null
  fi
}

manifest_metal_guest() {
  if [ -e "$metal_guest/.stamp" ]; then
    printf '{ "kernel": "%s", "initrd": "%s", "load": "%s", "kernelRelease": "%s" }' \
      "$metal_guest/kernel" "$metal_guest/initrd.img" "$guest/load" "$(cat "$metal_guest_packages/release")"
  else
    printf null
  fi
}

write_manifest() {
  printf '{\n  "qemu": {%s\n  },\n  "guest": %s,\n  "metalGuest": %s\n}\n' \
    "$(manifest_qemu)" "$(manifest_guest)" "$(manifest_metal_guest)" \
    >"$build/manifest.json.new"
  mv "$build/manifest.json.new" "$build/manifest.json"
}

manifest_files_exist() {
  local file
  while read -r file; do
    [ -e "$file" ] || return 1
  done < <(grep -o '"/[^"]*"' "$build/manifest.json" | tr -d '"')
}
