#!/usr/bin/env bash
# Resolves the peers into hash-locked pins; those from PyPI agree with the hub's own. No registry is named in them.
# Fastify: package.json → package-lock.json. Go programs: go.lock → the same with the hashes of all that is in them.
set -euo pipefail
cd "$(dirname "$0")/../.."
.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
  --no-header --no-annotate ${UPGRADE:+--upgrade} -c requirements/dev.lock benchmarks/peers/requirements.in \
  -o benchmarks/peers/requirements.lock

(cd benchmarks/peers
  npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel error
  node -e '
    const fs = require("node:fs"), lock = JSON.parse(fs.readFileSync("package-lock.json"))
    for (const each of Object.values(lock.packages)) delete each.funding      // addresses that install nothing
    fs.writeFileSync("package-lock.json", JSON.stringify(lock, null, 1) + "\n")')

folder=$(mktemp -d)
trap 'rm -rf "$folder" "$folder.new"' EXIT
awk '/^[^\t#]/' benchmarks/peers/go.lock | while read -r package version; do
  GOBIN=$folder go install "$package@$version" </dev/null
  printf '%s %s\n' "$package" "$version"
  go version -m "$folder"/* | grep -P '^\t(mod|dep)\t' | sort -u
  rm -f "$folder"/*
done >"$folder.new"
{ echo '# Go programs and, below each, the modules in it with their hashes, as `go version -m` tells them.'; cat "$folder.new"; } >benchmarks/peers/go.lock
