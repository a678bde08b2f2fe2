"""`python -m cortex_order.sandbox`: serves the provider until a signal ends it."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence

from cortex_order.sandbox.app import MAX_LATENCY, Sandbox


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the sandbox until a signal ends it, with 0. Exits 78 (sysexits.h: configuration) in production."""
    if os.environ.get("CORTEX_ENV", "production") not in {"development", "test"}:
        sys.stderr.write("payments: a sandbox moves no money; it runs only with CORTEX_ENV=development or test\n")
        raise SystemExit(78)
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again once it has ended well

    import uvicorn  # here, so that a refusal costs nothing

    uvicorn.run(
        Sandbox(options.latency, options.failure_rate),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    def setting(name: str, default: str) -> str:
        return os.environ.get(f"SANDBOX_{name}", default)

    def between(most: float) -> Callable[[str], float]:
        def number(text: str) -> float:
            if not 0 <= float(text) <= most:
                raise ValueError(text)
            return float(text)

        return number

    parser = argparse.ArgumentParser(prog="cortex_order.sandbox", description="The sandbox payment provider.")
    parser.add_argument("--host", default=setting("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=setting("PORT", "3010"))
    parser.add_argument("--latency", type=between(MAX_LATENCY), default=setting("LATENCY", "0.1"), help="seconds")
    parser.add_argument("--failure-rate", type=between(1.0), default=setting("FAILURE_RATE", "0.1"), help="0 to 1")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
