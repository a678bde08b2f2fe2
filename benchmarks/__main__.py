"""`python -m benchmarks`: runs the areas, shows their tables, writes RESULTS.md. `make bench` is how it is called."""

import argparse
import importlib
import signal
import sys
import time
from typing import Final

from benchmarks import machine, peers, report
from benchmarks.processes import say
from benchmarks.rounds import Plan

AREAS: Final = (
    "compression",
    "ratelimit",
    "resilience",
    "headers",
    "cache",
    "actors",
    "eventstore",
    "bus",
    "tokens",
    "edge",
    "telemetry",
)


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends as Ctrl-C does: every block is left
    peers.install()
    machine.settle()
    plan = Plan(options.rounds, options.seconds)
    for area in options.only or AREAS:
        began = time.monotonic()
        section = importlib.import_module(f"benchmarks.areas.{area}").run(plan)
        say("")
        sys.stdout.write(f"\n## {section.name} ({time.monotonic() - began:.0f} s)\n\n{section}\n")
        sys.stdout.flush()
        if not options.dry:
            report.write([section], AREAS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", action="extend", choices=AREAS, help="these areas; the others keep their results"
    )
    parser.add_argument("--rounds", type=int, default=5, help="a published figure has at least 5")
    parser.add_argument("--seconds", type=int, default=5, help="of each side's turn; a published figure has 5")
    parser.add_argument("--dry", action="store_true", help="leaves RESULTS.md alone")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nbench: interrupted; what was started has ended")
