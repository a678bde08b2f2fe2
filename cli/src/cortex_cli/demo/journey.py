"""The journey, step by step. Each step does one thing any client can do, and says what it expects of it.

About twenty requests in all: the gateway allows a hundred a minute, and a demonstration may be run twice.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cortex_cli.demo.expectation import Unmet, expect
from cortex_cli.demo.gateway import Gateway
from cortex_cli.demo.notifications import Notifications
from cortex_cli.demo.png import colourful, read_png

ORDERS: Final = (  # (payment token, how it ends, why)
    ("tok_ok", "completed", None),
    ("tok_ok", "completed", None),
    ("tok_declined", "failed", "declined"),
    ("tok_flaky", "completed", None),
    ("tok_ok", "completed", None),
)
_PATIENCE: Final = 45.0  # seconds for all orders to end: the flaky one waits between its attempts
_CATCHING_UP: Final = 15.0  # seconds that analytics may be behind
_FIGURES_KEPT: Final = 1.1  # seconds; for one of them the gateway answers from its cache
FILES: Final = {"a small file": 200 << 10, "a file of five blocks": (1 << 20) + 1}  # bytes; a block has 256 KiB


@dataclass(slots=True)
class Order:
    """An order of ours, and what it should come to."""

    order_id: str
    token: str
    status: str
    reason: str | None


@dataclass(slots=True)
class Journey:
    """What one run knows. `note` and `on_frame` tell the person what happens within a step; `details` are for scripts;
    what must be closed at the end goes onto `open`."""

    gateway: Gateway
    services: tuple[str, ...]
    out: Path
    note: Callable[[str], None]
    on_frame: Callable[[dict[str, Any], list["Order"]], None]
    open: AsyncExitStack
    notifications: Notifications = field(init=False)
    orders: list[Order] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        """Each with its name; what it returns is its result in a few words."""
        return [
            ("health", self.health),
            ("live notifications", self.welcome),
            ("analytics before", self.analytics_before),
            ("orders placed", self.place_orders),
            ("orders ended", self.follow_orders),
            ("analytics after", self.analytics_after),
            *((name, self._file_step(size)) for name, size in FILES.items()),
            ("an image turned grey", self.turn_grey),
        ]

    async def health(self) -> str:
        reply = await self.gateway.get("/health")
        expect(reply.status == 200, "200 from /health", reply.brief)
        report = reply.json()
        expect(report.get("status") == "up", "status up from /health", report)
        missing = [name for name in self.services if name != "gateway" and name not in json.dumps(report)]
        expect(not missing, f"all of {', '.join(self.services)} in /health", f"nothing of {', '.join(missing)}")
        return f"{len(self.services)} services up"

    async def welcome(self) -> str:
        socket = await self.open.enter_async_context(self.gateway.socket("/ws"))
        listening = Notifications.open(socket, lambda frame: self.on_frame(frame, self.orders))
        self.notifications = await self.open.enter_async_context(listening)
        return f"connected as {self.notifications.client_id[:24]}"

    async def analytics_before(self) -> str:
        self.before = await self._settled_figures()
        return _figures(self.before)

    async def place_orders(self) -> str:
        for token, status, reason in ORDERS:
            body = {
                "customerId": "cus_demo",
                "currency": "EUR",
                "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
                "paymentToken": token,
            }
            reply = await self.gateway.post("/api/orders", json.dumps(body).encode(), "application/json")
            expect(reply.status == 201, f"201 for an order with {token}", reply.brief)
            placed = reply.json()
            expect(placed.get("status") == "pending", "a new order to be pending", placed)
            expect(placed.get("total") == 2500, "a total of 2500 (two books at 1250)", placed)
            order_id = str(placed["orderId"])
            location = reply.headers.get("Location")
            expect(location == f"orders/{order_id}", f"Location: orders/{order_id}", location)
            self.orders.append(Order(order_id, token, status, reason))
        return f"{len(self.orders)} accepted"

    async def follow_orders(self) -> str:
        outcomes = await self.notifications.outcomes([order.order_id for order in self.orders], _PATIENCE)
        for order in self.orders:
            heard = self.notifications.types(order.order_id)
            expect(heard[:1] == ["order.created"], f"order.created first for {order.order_id}", heard)
            expect("order.state.changed" in heard, f"order.state.changed for {order.order_id}", heard)
            wanted = f"order.{order.status}"
            expect(outcomes[order.order_id]["type"] == wanted, f"{wanted} for the order with {order.token}", heard)
            await self._check_order(order)
        ended = Counter(order.status for order in self.orders)
        self.details["orders"] = [
            {"orderId": each.order_id, "paymentToken": each.token, "status": each.status, "reason": each.reason}
            for each in self.orders
        ]
        return f"{ended['completed']} completed (one after retries), {ended['failed']} declined"

    async def _check_order(self, order: Order) -> None:
        reply = await self.gateway.get(f"/api/orders/{order.order_id}")
        expect(reply.status == 200, f"200 for {order.order_id}", reply.brief)
        found = reply.json()
        expected = {"orderId": order.order_id, "status": order.status, "reason": order.reason}
        expect({key: found.get(key) for key in expected} == expected, json.dumps(expected), found)

    async def analytics_after(self) -> str:
        wanted = Counter(order.status for order in self.orders) | Counter(created=len(self.orders))
        found: dict[str, int] = {}
        for _ in range(int(_CATCHING_UP)):
            now = await self._figures()
            found = {name: now[name] - self.before[name] for name in wanted}
            others = self.notifications.of_others({order.order_id for order in self.orders})
            extra = {name: others[f"order.{name}"] for name in wanted}
            if all(found[name] == wanted[name] + extra[name] for name in wanted):
                self.details["analytics"] = {"before": self.before, "after": now}
                return f"{_figures(now)}: up by {_figures(found)}"
            await asyncio.sleep(1)
        raise Unmet(f"analytics up by {_figures(dict(wanted))} within {_CATCHING_UP:g} s", _figures(found))

    async def _settled_figures(self) -> dict[str, int]:
        """The figures, once two readings are the same: analytics may still be catching up with an earlier run."""
        last = await self._figures()
        for _ in range(int(_CATCHING_UP)):
            await asyncio.sleep(_FIGURES_KEPT)
            now = await self._figures()
            if now == last:
                return now
            last = now
        raise Unmet(f"analytics to settle within {_CATCHING_UP:g} s", _figures(last))

    async def _figures(self) -> dict[str, int]:
        reply = await self.gateway.get("/api/analytics/metrics")
        expect(reply.status == 200, "200 from /api/analytics/metrics", reply.brief)
        counted = reply.json().get("orders", {})
        names = ("created", "completed", "failed")
        expect(all(isinstance(counted.get(name), int) for name in names), "orders created, completed, failed", counted)
        return {name: counted[name] for name in names}

    def _file_step(self, size: int) -> Callable[[], Awaitable[str]]:
        async def up_and_down() -> str:
            content = random.Random(size).randbytes(size)  # noqa: S311 - bytes to look at, no secret
            expected = _cid_of(content)
            stored = await self.gateway.post("/api/storage/files", content, "application/octet-stream")
            expect(stored.status == 201, "201 for a file", stored.brief)
            answer = stored.json()
            expect(answer.get("cid") == expected, f"the CID {expected}, computed here", answer)
            expect(answer.get("size") == size, f"a size of {size}", answer)
            fetched = await self.gateway.get(f"/api/storage/files/{expected}")
            expect(fetched.status == 200, f"200 for {expected}", fetched.brief)
            expect(fetched.body == content, f"the same {size} bytes back", f"{len(fetched.body)} others")
            self.note(f"{size:,} bytes up and down: {expected}")
            self.details.setdefault("files", []).append({"cid": expected, "size": size})
            return f"{size:,} bytes, CID as computed here"

        return up_and_down

    async def turn_grey(self) -> str:
        picture = colourful()
        sent = picture.to_png()
        reply = await self.gateway.post("/api/compute/images?operation=grayscale", sent, "image/png")
        expect(reply.status == 200, "200 for an image", reply.brief)
        expect(reply.headers.get("Content-Type") == "image/png", "a PNG back", reply.headers.get("Content-Type"))
        self.out.mkdir(parents=True, exist_ok=True)
        before, after = self.out / "before.png", self.out / "after.png"
        before.write_bytes(sent)
        after.write_bytes(reply.body)
        try:
            grey = read_png(reply.body)
        except ValueError as error:
            raise Unmet("a PNG that can be read", error) from error
        expect(grey.is_grey_of(picture), "every pixel to be the luma of the original's", f"another picture: {after}")
        self.note(f"before: {before}")
        self.note(f"after:  {after}")
        self.details["images"] = {"before": str(before), "after": str(after)}
        return f"{picture.width} by {picture.height} pixels, each as it should be"


def _cid_of(content: bytes) -> str:
    from cortex_core.ipfs import FileBuilder  # here: it is half of what `import cortex_cli.demo` would cost

    builder = FileBuilder()
    builder.add(content)
    return str(builder.finish().cid)


def _figures(figures: dict[str, int]) -> str:
    return f"{figures['created']} created, {figures['completed']} completed, {figures['failed']} failed"
