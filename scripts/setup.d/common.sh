# Words, stamps and the lock that every part of set-up uses. Sourced by scripts/setup.

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# What the user still has to do by himself; said again at the end.
pending=()

is_root() { [ "$(id -u)" = 0 ]; }

# The distribution's code name decides which QEMU comes from where.
require_debian() {
  local id='' version=''
  if [ -r /etc/os-release ]; then
    id=$(. /etc/os-release && echo "${ID:-}")
    version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  fi
  case "$id $version" in
    "debian 12" | "debian 13") ;;
    *) fail "this needs Debian 12 or 13 (found: ${id:-unknown} ${version:-})" ;;
  esac
  [ "$(dpkg --print-architecture)" = amd64 ] || fail "this needs a 64-bit PC (amd64)"
}

# Where this work tree lies becomes part of apt's configuration, of library paths and of a JSON file.
require_usable_folder() {
  case $root in
    *[:\"\\]* | *$'\n'*) fail "the path of this work tree must have no colon, quote, backslash or line break" ;;
  esac
  mkdir -p "$build" 2>/dev/null || true
  [ -w "$build" ] || fail "$build can't be written to by this user: it or its parent belongs to somebody else"
}

# A digest over the given files' names and contents and over the given words (after --).
digest_of() {
  local files=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    files+=("$1")
    shift
  done
  { [ ${#files[@]} = 0 ] || sha256sum -- "${files[@]}"; printf '%s\n' "$@"; } | sha256sum | cut -c1-24
}

guest_sources() { find "$root/guest" -type f ! -name '*.md' ! -name '*.test.ts' | LC_ALL=C sort; }

# Everything that decides what set-up makes.
setup_digest() {
  local guest
  mapfile -t guest < <(guest_sources)
  digest_of "$root/package-lock.json" "$root/scripts/setup" "$here"/* "${guest[@]}" /etc/os-release -- "$root"
}

setup_is_current() {
  [ -e "$build/.stamp" ] && [ -e "$build/manifest.json" ] && npm_is_current &&
    [ "$(cat "$build/.stamp")" = "$(setup_digest)" ] && manifest_files_exist
}

# One set-up at a time per work tree; the lock ends with the process, however that ends.
take_lock() {
  exec 9>"$build/.lock"
  if ! flock -n 9; then
    say "another set-up is running, waiting for it"
    flock 9
  fi
}

# step_is_current STAMP DIGEST: was this step finished with these inputs?
step_is_current() { [ -e "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# put_in_place NEW FOLDER: replaces a folder as quickly as can be, for the sake of what runs from it just now.
put_in_place() {
  rm -rf "$2.old"
  [ ! -e "$2" ] || mv "$2" "$2.old"
  mv "$1" "$2"
  rm -rf "$2.old"
}

finish() {
  if [ ${#pending[@]} -gt 0 ]; then
    say "set up as far as possible; still needed:"
    printf 'setup:   %s\n' "${pending[@]}"
    rm -f "$build/.stamp"
  else
    setup_digest >"$build/.stamp"
    say "done"
  fi
}
