"""The order service and what it stands on, under faults: the rows of reliability that issue 5 proves."""

from typing import Final

from chaos.experiment import Experiment
from chaos.orders import acknowledged, appending, messages, outage, projecting, rebuilding

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    acknowledged.EXPERIMENT,
    messages.EXPERIMENT,
    appending.EXPERIMENT,
    *projecting.EXPERIMENTS,
    rebuilding.EXPERIMENT,
    outage.EXPERIMENT,
)
