"""`python -m chaos orders`: runs the experiments, shows what was found, writes RESULTS-orders.md.

Exit status 1 where a promise was broken, a fault never fired, or a control held. `make chaos-orders` calls it.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from chaos import report
from chaos.experiment import DATABASES, Experiment, Outcome, Run, Verdict
from chaos.orders import EXPERIMENTS
from chaos.surroundings import surroundings
from cortex_core.testing import PostgresServer

SUITES = {"orders": EXPERIMENTS}


def main() -> int:
    options = _options()
    chosen = [each for each in SUITES[options.suite] if not options.only or each.slug in options.only]
    verdicts: list[Verdict] = []
    with ExitStack() as stack:
        postgres = None
        if "postgresql" in options.database:
            postgres = stack.enter_context(PostgresServer.running())
        for experiment in chosen:
            for database in options.database:
                if database in experiment.databases:
                    verdicts += _try(experiment, database, options.scale, postgres)
    sys.stdout.write(f"\n{report.table(verdicts)}\n")
    if not options.only and options.scale >= 1 and tuple(options.database) == DATABASES:
        report.write(Path(__file__).with_name(f"RESULTS-{options.suite}.md"), options.suite, options.scale, verdicts)
    return 0 if verdicts and all(verdict.passed for verdict in verdicts) else 1


def _try(experiment: Experiment, database: str, scale: float, postgres: PostgresServer | None) -> list[Verdict]:
    runs: list[tuple[str | None, Run]] = [(None, experiment.run)]
    runs += [(control.without, control.run) for control in experiment.controls]
    found = []
    for control, run in runs:
        title = f"{experiment.row} on {database}" + (f", control: {control}" if control else "")
        sys.stdout.write(f"{title} …\n")
        sys.stdout.flush()
        verdict = asyncio.run(_judged(experiment.row, run, control, database, scale, postgres))
        sys.stdout.write(f"{title}: {verdict.words} ({verdict.seconds:.0f} s)\n")
        found.append(verdict)
    return found


async def _judged(
    row: str, run: Run, control: str | None, database: str, scale: float, postgres: PostgresServer | None
) -> Verdict:
    began = time.monotonic()
    outcome: Outcome | None = None
    error: str | None = None
    with tempfile.TemporaryDirectory(prefix="cortex-chaos-") as folder:
        try:
            async with surroundings(database, Path(folder), scale, postgres) as around:
                outcome = await run(around)
        except Exception as failure:  # noqa: BLE001 - a run that fell over is a verdict too: the others still have theirs to give
            error = f"{type(failure).__name__}: {str(failure)[-1500:]}"
    return Verdict(row, database, control, outcome, error, time.monotonic() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--only", action="append", metavar="ROW", choices=sorted({each.slug for each in EXPERIMENTS}))
    parser.add_argument("--database", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--scale", type=float, default=1.0, help="0.05 for a glance; a figure to believe has 1")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nchaos: interrupted; what was started has ended")
