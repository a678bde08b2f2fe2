#!/usr/bin/env bash
# Makes .venv what the locks say. Does nothing when it already is: the stamp holds a digest of all that decides it.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
stamp=.venv/.stamp
wanted=$(cat requirements/dev.lock requirements/bootstrap.lock ./*/*/pyproject.toml cli/pyproject.toml scripts/setup.sh | sha256sum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

step() { printf 'setup: %s\n' "$*"; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "setup: Python 3.11 or later is needed; $("$python" --version) is what '$python' gives. Set PYTHON=…" >&2
  exit 1
}

[ -x .venv/bin/python ] || { step "making .venv ($("$python" --version))"; "$python" -m venv .venv; }
step "fetching uv"
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
step "installing $(grep -c == requirements/dev.lock) pinned packages"
.venv/bin/uv pip sync -q --python .venv/bin/python --require-hashes requirements/dev.lock requirements/bootstrap.lock
step "installing the hub's own packages"
own=(libs/*/ services/*/ cli/)
.venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation "${own[@]/#/-e./}"
step "compiling"
.venv/bin/python -m compileall -q -j 2 .venv/lib/python*/site-packages -x '/(tests?|mypy|mypyc|pip|setuptools)/' >/dev/null || true   # some packages ship files for other Pythons
printf '%s\n' "$wanted" >"$stamp"
step "done"
