"""Signals that come while a process starts: kept for the server, which does not hear them yet.

A start has several hands through which the handlers pass (Python's, ours, uvicorn's). One that merely returned would
lose the signal, and the process serve on until somebody kills it; Python's own for SIGINT prints a traceback.
"""

import signal
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGTERM, signal.SIGINT)
TOLD_EARLY: Final = "told to end before it served"  # the line of a process that ends without having opened anything


class EarlySignals:
    """`numbers`: those that came since `listen`, and until somebody has set other handlers. Set them first, and look
    here afterwards: then none falls in between."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def listen(self) -> None:
        """From now on, SIGTERM and SIGINT are kept. In the main thread."""
        for number in ENDING:
            signal.signal(number, self._keep)

    def _keep(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature is the kernel's
        self.numbers.append(number)
