"""Asks a real Kubo and the JS importer for the CIDs of deterministic files and writes ../cid_vectors.json.

Usage: python make_cid_vectors.py KUBO NODE_FOLDER, where KUBO is an `ipfs` program and NODE_FOLDER has had
`npm install ipfs-unixfs-importer blockstore-core`. Needed only to add rows: the tests read the committed table.

A row's file is the first `size` bytes of SHAKE-256 (FIPS 202) over the UTF-8 text of `seed`. Kubo is asked with every
parameter spelled out, since its defaults have changed over the years; `kubo_plain` is what the same Kubo answers to a
bare `ipfs add --cid-version=1 --raw-leaves`.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

KIB_256 = 262_144
HERE = Path(__file__).resolve().parent

# Around every edge: nothing, one chunk, two, one full node of 174, the second level; and the 60 MB of the issue.
SIZES = [0, 1, 262_143, KIB_256, 262_145, 524_288, 1_000_000, 45_613_056, 45_613_057, 60_000_000]
# Narrow trees of small chunks reach five levels with a few hundred bytes; the last has the widest node exactly full.
NARROW = [16, 17, 48, 49, 144, 145, 432, 433, 1_296, 1_297, 1_000]


def main(kubo: str, node_folder: str) -> None:
    rows = [(size, "cortex", KIB_256, 174) for size in SIZES]
    rows += [(size, "narrow", 16, 3) for size in NARROW]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "IPFS_PATH": f"{folder}/repo"}

        def ipfs(*arguments: str) -> str:
            return subprocess.run(
                [kubo, *arguments], env=environment, check=True, capture_output=True, text=True
            ).stdout

        ipfs("init", "--profile=test")
        file = Path(folder, "content")

        def vector(size: int, seed: str, chunk_size: int, max_links: int) -> dict[str, object]:
            file.write_bytes(hashlib.shake_256(seed.encode()).digest(size))
            add = ["add", "--quieter", "--only-hash", "--cid-version=1", "--raw-leaves"]
            exactly = [f"--chunker=size-{chunk_size}", f"--max-file-links={max_links}"]
            js = ["node", str(HERE / "importer.mjs"), str(file), str(chunk_size), str(max_links)]
            row: dict[str, object] = {"size": size, "seed": seed, "chunk_size": chunk_size, "max_links": max_links}
            row["kubo"] = ipfs(*add, *exactly, str(file)).strip()
            row["js"] = subprocess.run(js, cwd=node_folder, check=True, capture_output=True, text=True).stdout.strip()
            if chunk_size == KIB_256:
                row["kubo_plain"] = ipfs(*add, str(file)).strip()
            row["cid"] = row["kubo"] if row["kubo"] == row["js"] else None
            return row

        vectors = [vector(*row) for row in rows]
        version = ipfs("version", "--number").strip()
    importer = json.loads(Path(node_folder, "node_modules/ipfs-unixfs-importer/package.json").read_text())["version"]
    table = {
        "content": "the first `size` bytes of SHAKE-256 over the UTF-8 text of `seed`",
        "kubo": f"Kubo {version}: ipfs add --only-hash --cid-version=1 --raw-leaves --chunker=size-CHUNK_SIZE"
        " --max-file-links=MAX_LINKS; kubo_plain: without the last two",
        "js": f"ipfs-unixfs-importer {importer}: cidVersion 1, rawLeaves, reduceSingleLeafToSelf, fixedSize, balanced",
        "vectors": vectors,
    }
    (HERE.parent / "cid_vectors.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
