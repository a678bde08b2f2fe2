"""Where the process begins: `python -m cortex_gateway.main`, or uvicorn with `cortex_gateway.main:app --factory`."""

from fastapi import FastAPI

from cortex_core.chassis import serve
from cortex_core.chassis.http_protocol import protocol_class
from cortex_gateway.dataplane import ExpressProtocol
from cortex_gateway.settings import Settings
from cortex_gateway.wiring import build


def app() -> FastAPI:
    """The application as the environment describes it."""
    return build(Settings())


def main() -> None:
    serve(build, Settings, protocol=lambda app: protocol_class(ExpressProtocol, application=app))


if __name__ == "__main__":
    main()
