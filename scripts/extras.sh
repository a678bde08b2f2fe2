#!/usr/bin/env bash
# A cog can be taken by itself: each extra of cortex-core, alone in an environment of its own, imports what it promises.
# Versions and hashes are dev.lock's.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$PWD/.venv/bin/uv
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

declare -A promises=(
  [none]="kernel resilience ratelimit events eventsourcing asgi asgi.compression asgi.http_cache"
  [compression]="asgi.compression asgi.decompression"
  [redis]="events.redis ratelimit.redis resilience.redis asgi.http_cache.redis"
  [security]="security" [resilience]="resilience" [ratelimit]="ratelimit" [ipfs]="ipfs" [actors]="actors"
  [sql]="eventsourcing.sql" [postgres]="eventsourcing.sql" [wasm]="wasm"
  [observability]="observability" [otlp]="observability.exporters"
  [chassis]="chassis" [testing]="testing"
)
declared=$(.venv/bin/python -c 'import tomllib; print(*tomllib.load(open("libs/cortex-core/pyproject.toml", "rb"))["project"]["optional-dependencies"])')
for extra in none $declared; do
  [ -n "${promises[$extra]:-}" ] || { echo "extras.sh does not know what cortex-core[$extra] promises" >&2; exit 1; }
  wanted=cortex-core
  [ "$extra" = none ] || wanted="cortex-core[$extra]"
  wanted="$wanted @ file://$(ls "$PWD"/dist/cortex_core-*.whl)"       # this very wheel, not one of its name from a cache
  python=$place/$extra/bin/python
  "$uv" venv -q --python .venv/bin/python "$place/$extra"
  "$uv" pip install -q --python "$python" -c requirements/dev.lock "$wanted"
  for module in ${promises[$extra]}; do "$python" -W error -c "import cortex_core.$module"; done
  printf '%-14s %2d packages\n' "$extra" "$("$uv" pip list -q --python "$python" | tail -n +3 | wc -l)"
done
