"""How long the gateway waits for a service. The client's slowness is not the service's."""

import asyncio
from typing import Any

from cortex_core.chassis import is_hurried


class Patience:
    """How long we wait for the service, as a block that is ended when it is over; another block begins anew. `allowed`
    is in seconds, `hurried` says that the client allows less than the route.

    Stopped while it is the client's turn; the client's own deadline (on the loop's clock) holds throughout.
    """

    def __init__(self, timeout: float, deadline: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self.deadline = deadline
        self.allowed = self._left()
        self.hurried = is_hurried(self.allowed, timeout)
        self._limit = asyncio.timeout(None)
        self._inside = False

    @property
    def expired(self) -> bool:
        return self._limit.expired()

    async def __aenter__(self) -> None:
        self._limit = asyncio.timeout(self._left())
        await self._limit.__aenter__()
        self._inside = True

    async def __aexit__(self, *error: Any) -> None:
        self._inside = False
        await self._limit.__aexit__(*error)

    def _left(self) -> float:
        left = self._timeout if self.deadline is None else self.deadline - self._loop.time()
        return max(0.0, min(self._timeout, left))

    def start(self) -> None:
        end = self._loop.time() + self._timeout
        self._until(end if self.deadline is None else min(end, self.deadline))

    def stop(self) -> None:
        self._until(self.deadline)

    def _until(self, when: float | None) -> None:
        if self._inside and not self.expired:  # the body's last step may come when all is over
            self._limit.reschedule(when)
