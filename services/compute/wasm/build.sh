#!/bin/sh
# Builds src/cortex_compute/image.wasm from image.c and writes down what it was built from, and with what.
# Needs clang, wasm-ld (lld) and python3: Debian's `clang` and `lld` are what the committed module was built with.
# `build.sh DIRECTORY` builds there instead (the tests do, to compare).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-"$here/../src/cortex_compute"}

# -nostdlib and no entry: exports only. -msimd128 is the point. The stack is small because nothing here recurses; it
# lies below the data, so that an overflow traps at address 0 instead of walking over them.
flags="--target=wasm32-unknown-unknown -std=c11 -O3 -msimd128 -ffreestanding -nostdlib -Wall -Wextra -Werror"
flags="$flags -Wl,--no-entry -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=16384"

# shellcheck disable=SC2086 # the flags are words
clang $flags -o "$out/image.wasm" "$here/image.c"
chmod 644 "$out/image.wasm"

CLANG=$(clang --version | head -n 1) LINKER=$(wasm-ld --version | head -n 1) FLAGS=$flags \
    python3 - "$here/image.c" "$out/image.wasm" > "$out/image.manifest.json" <<'PYTHON'
import hashlib, json, os, pathlib, sys

source, module = (hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest() for path in sys.argv[1:])
manifest = {
    "source": "services/compute/wasm/image.c",
    "sourceSha256": source,
    "moduleSha256": module,
    "compiler": os.environ["CLANG"],
    "linker": os.environ["LINKER"],
    "flags": os.environ["FLAGS"].split(),
}
print(json.dumps(manifest, indent=2))
PYTHON
