"""What is run: `python -m cortex_notification.main`."""

from fastapi import FastAPI

from cortex_core.chassis import serve
from cortex_notification.settings import Settings
from cortex_notification.wiring import build


def app() -> FastAPI:
    return build(Settings())


def main() -> None:
    serve(build, Settings)


if __name__ == "__main__":
    main()
