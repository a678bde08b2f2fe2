"""What comes over the WebSocket while the demonstration runs: kept by order, and told as it arrives."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from cortex_cli.demo.expectation import Unmet, expect

OUTCOMES: Final = frozenset({"order.completed", "order.failed", "order.cancelled"})


class Notifications:
    """Frames by order id, in the order they came. `open` is how one is made."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, on_frame: Callable[[dict[str, Any]], None]) -> None:
        self.socket = socket
        self._on_frame = on_frame
        self._frames: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._news = asyncio.Condition()
        self.client_id = ""
        self.listener: asyncio.Task[None]

    @classmethod
    @asynccontextmanager
    async def open(
        cls, socket: aiohttp.ClientWebSocketResponse, on_frame: Callable[[dict[str, Any]], None]
    ) -> AsyncIterator["Notifications"]:
        """Listens while the block runs; `on_frame` sees each frame about an order. Raises Unmet without a welcome."""
        notifications = cls(socket, on_frame)
        notifications.client_id = await notifications._welcome()
        notifications.listener = asyncio.create_task(notifications._listen())
        try:
            yield notifications
        finally:
            notifications.listener.cancel()
            await asyncio.gather(notifications.listener, return_exceptions=True)

    async def _welcome(self) -> str:
        """The first frame's client id. Raises Unmet where it is no welcome."""
        try:
            frame = _parsed(await self.socket.receive_str(timeout=5))
        except (TimeoutError, TypeError) as error:
            raise Unmet("a welcome within 5 s", type(error).__name__) from error
        if frame.get("type") != "welcome" or not frame.get("clientId") or not frame.get("timestamp"):
            raise Unmet('a frame {"type":"welcome","clientId":…,"timestamp":…}', frame)
        return str(frame["clientId"])

    async def outcomes(self, order_ids: Collection[str], within: float) -> dict[str, dict[str, Any]]:
        """The outcome of each order, as soon as all are there. Raises Unmet after `within` seconds, or where the socket
        closes before."""
        waiting = asyncio.create_task(self._all_ended(order_ids))
        await asyncio.wait({waiting, self.listener}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self.listener.done():
            self.listener.result()
            raise Unmet("the WebSocket to stay open", f"closed with code {self.socket.close_code}")
        missing = {order_id: self.types(order_id) for order_id in order_ids if not self._outcome(order_id)}
        expect(not missing, f"an outcome of every order over the WebSocket within {within:g} s", missing)
        return {order_id: frame for order_id in order_ids if (frame := self._outcome(order_id)) is not None}

    async def _listen(self) -> None:
        async for message in self.socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            frame = _parsed(message.data)
            order_id = (frame.get("data") or {}).get("orderId")
            if order_id is None:
                continue
            async with self._news:
                self._frames[order_id].append(frame)
                self._news.notify_all()
            self._on_frame(frame)

    async def _all_ended(self, order_ids: Collection[str]) -> None:
        async with self._news:
            await self._news.wait_for(lambda: all(self._outcome(order_id) for order_id in order_ids))

    def types(self, order_id: str) -> list[str]:
        return [str(frame.get("type")) for frame in self._frames.get(order_id, ())]

    def of_others(self, ours: Collection[str]) -> Counter[str]:
        """How often each type came for orders that are not ours: somebody else works with this hub, too."""
        strangers = [frames for order_id, frames in self._frames.items() if order_id not in ours]
        return Counter(str(frame.get("type")) for frames in strangers for frame in frames)

    def _outcome(self, order_id: str) -> dict[str, Any] | None:
        return next((frame for frame in self._frames.get(order_id, ()) if frame.get("type") in OUTCOMES), None)


def _parsed(text: str) -> dict[str, Any]:
    try:
        frame = json.loads(text)
    except ValueError as error:
        raise Unmet("JSON frames", text[:200]) from error
    if not isinstance(frame, dict):
        raise Unmet("JSON objects as frames", text[:200])
    return frame
