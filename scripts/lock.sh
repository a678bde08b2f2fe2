#!/usr/bin/env bash
# Resolves every requirement into hash-locked pins: dev.lock holds all of them, each other lock is the part of it that
# one package needs, so that all agree. No registry is named in them. Run by `make lock` after a pyproject.toml changed.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
own=(cortex-core cortex-contracts cortex-cli cortex-gateway cortex-order cortex-notification cortex-analytics cortex-storage cortex-compute)
compile() {
  "$uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
    --no-header --no-annotate "${own[@]/#/--no-emit-package=}" "$@"
}
members=(libs/cortex-contracts/pyproject.toml services/*/pyproject.toml cli/pyproject.toml)
echo uv | compile - -o requirements/bootstrap.lock                        # what installs the rest
compile requirements/dev.in libs/cortex-core/pyproject.toml "${members[@]}" --all-extras ${UPGRADE:+--upgrade} -o requirements/dev.lock
echo hatchling | compile - -c requirements/dev.lock -o requirements/wheels.lock    # what builds ours, in the images
compile libs/cortex-core/pyproject.toml --extra chassis -c requirements/dev.lock -o requirements/base.lock
compile libs/cortex-core/pyproject.toml --extra testing -c requirements/dev.lock -o requirements/testing.lock
for member in services/*/ cli/; do
  name=$(basename "$member")
  compile "${member}pyproject.toml" -c requirements/dev.lock -o "requirements/$name.lock"
done
