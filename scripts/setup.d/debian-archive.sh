# Debian packages fetched and unpacked under build/, never installed. Sourced by scripts/setup.
#
# apt works here with a configuration, package lists, cache and (empty) package status of its own, so that the
# system's sources stay as they are and the result doesn't depend on what is installed. Packages come from the
# mirror that the system's own sources name, checked against Debian's archive keys.

archive=$build/apt
archive_keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Package lists older than this are refreshed before use: point releases come every two months.
archive_list_days=7

# The mirror of the system's own Debian sources. apt itself reads them, in either format.
debian_mirror() {
  local uris
  # shellcheck disable=SC2016
  uris=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 2>/dev/null |
    awk -v codename="$codename" '($2 == codename || $2 ~ /^(old)?stable$/) && $3 == "main" { print $1 }')
  # Others may name their suites alike; Debian's own mirrors end in /debian.
  { grep -E '/debian/?$' <<<"$uris" || echo "$uris"; } | head -n 1
}

archive_get() { apt-get -q -c "$archive/apt.conf" "$@"; }
archive_cache() { apt-cache -c "$archive/apt.conf" "$@"; }

archive_configure() {
  local mirror suite
  [ -e "$archive_keyring" ] || fail "$archive_keyring is missing: install the package debian-archive-keyring"
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || fail "apt's sources name no Debian mirror for $codename main: add one to /etc/apt/sources.list"
  mkdir -p "$archive/cache/archives/partial"
  : >"$archive/status"
  for suite in "$codename" $(archive_extra_suites); do
    echo "deb [arch=amd64 signed-by=$archive_keyring] $mirror $suite main"
  done >"$archive/sources.list.new"
  cat >"$archive/apt.conf" <<EOF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::Etc::sourcelist "$archive/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$archive";
Dir::State::lists "$archive/lists";
Dir::State::status "$archive/status";
Dir::State::extended_states "$archive/extended_states";
Dir::Cache "$archive/cache";
Dir::Log "$archive";
APT::Architecture "amd64";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Acquire::Retries "3";
EOF
  if ! cmp -s "$archive/sources.list.new" "$archive/sources.list"; then
    rm -f "$archive/updated"
    mv "$archive/sources.list.new" "$archive/sources.list"
  fi
  rm -f "$archive/sources.list.new"
}

# QEMU 10.0 for Debian 12 is in its backports.
archive_extra_suites() { [ "$codename" != bookworm ] || echo bookworm-backports; }

# Fetches all lists anew and puts them in place at once.
archive_update() {
  local fresh=$archive/lists.new
  say "package lists: fetching (kept under build/, the system's stay as they are)"
  rm -rf "$fresh"
  mkdir -p "$fresh/partial"
  if archive_get -o "Dir::State::lists=$fresh" update --error-on=any >"$archive/update.log" 2>&1; then
    rm -rf "$archive/lists"
    mv "$fresh" "$archive/lists"
    touch "$archive/updated"
  elif [ -e "$archive/updated" ]; then
    say "package lists: can't be fetched, going on with those from $(date -r "$archive/updated" +%F)"
  else
    grep '^[EW]:' "$archive/update.log" | head -n 3 >&2
    fail "could not get the package lists from $(awk '{ print $4; exit }' "$archive/sources.list")"
  fi
}

archive_prepared=
archive_prepare() {
  [ -z "$archive_prepared" ] || return 0
  archive_configure
  if [ -z "$(find "$archive/updated" -mtime "-$archive_list_days" 2>/dev/null)" ]; then
    archive_update
  fi
  archive_prepared=yes
}

# Runs apt; on failure (a mirror no longer has what old lists name) once more with fresh lists.
archive_get_fresh() {
  local log=$archive/download.log
  archive_get "$@" >"$log" 2>&1 && return
  archive_update
  archive_get "$@" >"$log" 2>&1 && return
  grep '^[EW]:' "$log" | head -n 3 >&2
  return 1
}

# unpack_with_dependencies FOLDER SUITE PATTERN PACKAGE...: unpacks the packages of that suite, with all that
# they depend on, as far as their names match the extended regular expression, into the new FOLDER.
# apt downloads into partial/ and renames, so what an interrupted run got whole is not fetched again.
unpack_with_dependencies() {
  local folder=$1 suite=$2 pattern=$3 name version
  shift 3
  archive_get_fresh -y -t "$suite" install --download-only "$@" ||
    fail "could not get $* ($suite) from Debian's archive"
  rm -rf "$folder"
  mkdir -p "$folder"
  # A simulation's lines read: Inst NAME (VERSION ORIGIN [ARCHITECTURE])
  while read -r _ name version _; do
    version=${version#(}
    [[ $name =~ $pattern ]] || continue
    dpkg-deb -x "$archive/cache/archives/${name}_${version//:/%3a}"_*.deb "$folder"
  done < <(archive_get -y -t "$suite" install --simulate "$@" 2>/dev/null | grep '^Inst ')
}

# unpack_alone FOLDER PACKAGE...: unpacks just these packages into the new FOLDER.
unpack_alone() {
  local folder=$1 incoming=$archive/incoming package
  shift
  rm -rf "$folder" "$incoming"
  mkdir -p "$folder" "$incoming"
  (cd "$incoming" && archive_get_fresh download "$@") || fail "could not get $* from Debian's archive"
  for package in "$incoming"/*.deb; do
    dpkg-deb -x "$package" "$folder"
  done
  rm -rf "$incoming"
}
