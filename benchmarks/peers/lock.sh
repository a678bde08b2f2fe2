#!/usr/bin/env bash
# Resolves the peers into hash-locked pins that agree with the hub's own. No registry is named in them.
set -euo pipefail
cd "$(dirname "$0")/../.."
.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
  --no-header --no-annotate ${UPGRADE:+--upgrade} -c requirements/dev.lock benchmarks/peers/requirements.in \
  -o benchmarks/peers/requirements.lock
