"""What is run: `python -m cortex_analytics.main`."""

from fastapi import FastAPI

from cortex_analytics.settings import Settings
from cortex_analytics.wiring import MIGRATIONS, build
from cortex_core.chassis import serve


def app() -> FastAPI:
    return build(Settings())


def main() -> None:
    serve(build, Settings, migrations=[MIGRATIONS])


if __name__ == "__main__":
    main()
