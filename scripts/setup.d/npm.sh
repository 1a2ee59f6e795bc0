# npm packages, Node 24 among them. Sourced by scripts/setup.

# npm records in node_modules/.package-lock.json what it put there. The stamp ties that record to the lock
# file it was compared with, so that the usual check needs no start of Node.
npm_stamp=$root/node_modules/.godwit-stamp

npm_digest() { digest_of "$root/package-lock.json" "$root/node_modules/.package-lock.json"; }

npm_is_current() {
  [ -e "$root/node_modules/.package-lock.json" ] && step_is_current "$npm_stamp" "$(npm_digest)"
}

# True when node_modules holds exactly the locked versions (other platforms' optional packages aside).
npm_is_in_accord() {
  [ -e "$root/node_modules/.package-lock.json" ] || return 1
  (cd "$root" && node --input-type=commonjs -e '
    const { existsSync, readFileSync } = require("node:fs");
    const read = (path) => JSON.parse(readFileSync(path, "utf8")).packages;
    const wanted = read("package-lock.json");
    const present = read("node_modules/.package-lock.json");
    delete wanted[""];
    const missing = Object.keys(wanted).some((path) =>
      present[path] === undefined
        ? !wanted[path].optional
        : present[path].version !== wanted[path].version || !existsSync(path + "/package.json"));
    const foreign = Object.keys(present).some((path) => wanted[path] === undefined);
    process.exit(missing || foreign ? 1 : 0);')
}

npm_packages() {
  local major
  command -v node >/dev/null && command -v npm >/dev/null ||
    fail "Node.js (20 or later) with npm is needed: https://nodejs.org or your distribution's package"
  major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
  [ "$major" -ge 20 ] || fail "Node.js 20 or later is needed, this is $(node --version)"
  npm_is_current && return
  if ! npm_is_in_accord; then
    say "npm packages: npm ci"
    (cd "$root" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
      fail "npm ci failed: is the npm registry ($(npm config get registry)) reachable?"
  fi
  npm_digest >"$npm_stamp"
}
