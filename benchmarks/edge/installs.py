"""Peers that do not come from PyPI, installed into `.peers/` at their first use: Fastify by npm's lock, Go programs by
the hashes of all that is in them, Debian's by the system's apt (which checks its signatures), unpacked beside ours."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.machine import tool
from benchmarks.processes import say

NODE: Final = peers.FOLDER / "node"
_GO: Final = peers.FOLDER / "go"
_DEBIAN: Final = peers.FOLDER / "debian"
_LOCKS: Final = peers.HERE / "peers"
_LIBRARIES: Final = {
    "haproxy": ("liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
}  # few machines have them


@dataclass(frozen=True, slots=True)
class Installed:
    """A program and what its environment needs beside ours."""

    path: str
    env: Mapping[str, str] = field(default_factory=dict)


def node_modules() -> Path:
    """The folder that has Fastify and its plugins. Raises CalledProcessError where npm fails: it has said why."""
    wanted = (_LOCKS / "package-lock.json").read_text()
    stamp = NODE / "stamp"
    if not stamp.exists() or stamp.read_text() != wanted:
        say("installing the peers of benchmarks/peers/package-lock.json")
        NODE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_LOCKS / name, NODE / name)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        subprocess.run([tool("npm", "npm"), "ci", *options], cwd=NODE, check=True, stdout=subprocess.DEVNULL)
        stamp.write_text(wanted)
    return NODE / "node_modules"


def version_of_node(package: str) -> str:
    found = re.search(
        rf'"node_modules/{package}": {{\s*"version": "([^"]+)"', (_LOCKS / "package-lock.json").read_text()
    )
    return found[1] if found else "?"


def go_program(name: str) -> Installed:
    """`caddy`, `vegeta`: built from source at the version in go.lock. Raises SystemExit where what was built holds
    anything else than the lock says."""
    package, version, modules = locked_go()[name]
    path = _GO / name
    if not path.exists() or _modules_of(path) != modules:
        say(f"building {package} {version}: a minute or two, once")
        env = {**os.environ, "GOBIN": str(_GO)}
        subprocess.run([tool("go", "golang"), "install", f"{package}@{version}"], env=env, check=True)
        if _modules_of(path) != modules:
            path.unlink()
            raise SystemExit(
                f"bench: {package} {version} was built of other modules than benchmarks/peers/go.lock names"
            )
    return Installed(str(path))


def locked_go() -> dict[str, tuple[str, str, frozenset[str]]]:
    """By the program's name: its package, its version, the modules in it (`name version hash`)."""
    found = {}
    for part in re.split(r"(?m)^(?=[^\t#])", (_LOCKS / "go.lock").read_text()):
        head, *lines = part.splitlines()
        if head.startswith("#"):
            continue
        package, version = head.split()
        named = next(word for word in reversed(package.split("/")) if not re.fullmatch(r"v\d+", word))
        found[named] = (package, version, frozenset(line.strip() for line in lines))
    return found


def _modules_of(path: Path) -> frozenset[str]:
    told = subprocess.run(
        [tool("go", "golang"), "version", "-m", str(path)], check=True, capture_output=True, text=True
    )
    return frozenset(line.strip() for line in told.stdout.splitlines() if line.startswith(("\tmod\t", "\tdep\t")))


def debian(name: str) -> Installed:
    """`nginx`, `haproxy`: what is on the PATH, else Debian's package, unpacked where nothing of the system changes."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is not None:
        return Installed(found)
    path = _DEBIAN / "usr/sbin" / name
    if not path.exists():
        _unpack([name, *_LIBRARIES.get(name, ())])
    library = next((_DEBIAN / "usr/lib").glob("*-linux-gnu"), None)
    return Installed(str(path), {} if library is None else {"LD_LIBRARY_PATH": str(library)})


def _unpack(packages: list[str]) -> None:
    say(f"unpacking Debian's {', '.join(packages)}")
    archives = _DEBIAN / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(
        [tool("apt-get", "apt"), "download", "-q", *packages], cwd=archives, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise SystemExit(f"bench: no {packages[0]}: `apt-get update`, or `apt-get install {packages[0]}`\n{ran.stderr}")
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg", "-x", archive, _DEBIAN], check=True)
