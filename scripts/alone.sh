#!/usr/bin/env bash
# In one environment every package can import every dependency. Here each service gets one of its own, by its own lock, and
# has to import and pass its tests in it: a dependency that is used but not declared fails. Three at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$PWD/.venv/bin/uv
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

one() { # one SERVICE. By && throughout: `set -e` does not hold within a command that is asked for its status.
  local name=$1 python=$place/$1/bin/python
  "$uv" venv -q --python .venv/bin/python "$place/$name" &&
    "$uv" pip sync -q --python "$python" --require-hashes "requirements/$name.lock" &&
    "$uv" pip install -q --python "$python" --no-deps --no-index \
      dist/cortex_core-*.whl dist/cortex_contracts-*.whl "dist/cortex_$name"-*.whl &&  # by path: by name uv takes old ones
    CORTEX_ENV=development OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 \
      "$python" -W error -c "from cortex_$name.main import app; app()" &&              # what sends traces is there too
    "$uv" pip install -q --python "$python" --require-hashes -r requirements/testing.lock &&
    "$python" -m pytest -q -p no:cacheprovider "services/$name"
}
export -f one
export place uv

# The longest first: the others pass beside them.
{ echo order; echo gateway; ls services | grep -vxE 'order|gateway'; } |
  xargs -P 3 -I {} bash -euc 'one {} >"$place/{}.log" 2>&1 || { cat "$place/{}.log"; exit 255; }; printf "%-14s" {}; tail -n 1 "$place/{}.log"'
