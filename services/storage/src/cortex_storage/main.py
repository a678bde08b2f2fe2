"""Where the process begins: `python -m cortex_storage.main`, or uvicorn with `cortex_storage.main:app --factory`."""

from fastapi import FastAPI

from cortex_core.chassis import serve
from cortex_storage.settings import Settings
from cortex_storage.wiring import MIGRATIONS, build


def app() -> FastAPI:
    """The application as the environment describes it."""
    return build(Settings())


def main() -> None:
    serve(build, Settings, migrations=[MIGRATIONS])


if __name__ == "__main__":
    main()
