"""`python -m cortex_order.main`, and `cortex_order.main:app` for any other ASGI server."""

from fastapi import FastAPI

from cortex_core.chassis import serve
from cortex_order.settings import Settings
from cortex_order.wiring import MIGRATIONS, PROJECTIONS, build


def app() -> FastAPI:
    return build(Settings())


def main() -> None:
    serve(build, Settings, migrations=[MIGRATIONS], projections=PROJECTIONS)


if __name__ == "__main__":
    main()
