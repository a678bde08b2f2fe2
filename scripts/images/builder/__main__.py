"""`python3 -m scripts.images.builder VERB …`. In the Dockerfile's builder, by its Python and nothing else:
`interpreter`, `dependencies [SERVICE]` and `own SERVICE` write the layers that the targets copy."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = Path("/opt/venv")
LAYERS: Final = Path("/layers")
_UV: Final = "/tools/bin/uv"


def main(words: list[str]) -> int:
    match words:
        case ["interpreter"]:
            from scripts.images.builder import interpreter

            print("interpreter:", *interpreter.compose(LAYERS / "python"))
        case ["dependencies", *rest] if len(rest) <= 1:
            return _dependencies(*rest)
        case ["own", service]:
            _own(service)
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


def _dependencies(service: str = "base") -> int:
    from scripts.images.builder import late, packages

    beneath = [LAYERS / "python"] + ([LAYERS / "base"] if service != "base" else [])
    _uv("pip", "sync", "--python", str(ENVIRONMENT / "bin/python"), "--require-hashes", f"requirements/{service}.lock")
    try:
        print(f"{service}:", *packages.dependencies(ENVIRONMENT, LAYERS / service, beneath))
    except late.OtherShape as error:  # for who renewed a lock: no traceback before what is to be done
        print(error, file=sys.stderr)
        return 65
    return 0


def _own(service: str) -> None:
    from scripts.images.builder import packages

    wheels = Path("/wheels")
    for source in ("libs/cortex-core", "libs/cortex-contracts", f"services/{service}"):
        _uv("build", "--wheel", "--no-build-isolation", "--python", "/tools/bin/python", "-o", str(wheels), source)
    built = sorted(str(wheel) for wheel in wheels.glob("*.whl"))
    _uv("pip", "install", "--python", str(ENVIRONMENT / "bin/python"), "--no-deps", "--no-index", *built)
    packages.own(ENVIRONMENT, LAYERS / "own", Path("LICENSE").read_bytes())


def _uv(*words: str) -> None:
    subprocess.run([_UV, *words[:1], *(words[1:2] if words[0] == "pip" else ()), "-q", "--no-cache",
                    *(words[2:] if words[0] == "pip" else words[1:])], check=True)  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
