"""Where the process begins: `python -m cortex_compute.main`, or uvicorn with `cortex_compute.main:app --factory`."""

from fastapi import FastAPI

from cortex_compute.settings import Settings
from cortex_compute.wiring import build
from cortex_core.chassis import serve


def app() -> FastAPI:
    """The application as the environment describes it."""
    return build(Settings())


def main() -> None:
    serve(build, Settings)


if __name__ == "__main__":
    main()
