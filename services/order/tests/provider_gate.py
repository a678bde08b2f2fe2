"""What the sandbox provider waits at, instead of for a while: a busy machine's while is anybody's guess."""

import asyncio


class Gate:
    """`sandbox.sleep` of a provider that takes its time for as long as the gate is shut. It stands open at first."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    async def __call__(self, latency: float) -> None:
        await self._open.wait()

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()
