"""What lies on the bus about orders, read as any consumer group would."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from cortex_core.testing import RedisServer

COMPLETED = ("order.completed", "order.created", "order.state.changed", "order.state.changed")
STREAM = "cortex:public:events:order"


@dataclass(slots=True)
class Wire:
    """`ids` counts how often each event was published; `types` what was told of each order, once an id."""

    ids: Counter[str] = field(default_factory=Counter)
    types: dict[str, list[str]] = field(default_factory=dict)
    disordered: int = 0

    @property
    def duplicates(self) -> int:
        return sum(self.ids.values()) - len(self.ids)

    def missing(self, orders: Iterable[str]) -> int:
        """Events of completed orders that are not there."""
        return sum(len(COMPLETED) - len(self.types.get(order, ())) for order in orders)


def read_wire(redis: RedisServer) -> Wire:
    """The whole stream."""
    wire, start, newest = Wire(), "-", dict[str, int]()
    while page := redis.command("XRANGE", STREAM, start, "+", "COUNT", "2000"):
        for _, fields in page:
            event = json.loads(fields[1])
            wire.ids[event["id"]] += 1
            if wire.ids[event["id"]] > 1:
                continue
            subject, version = event["subject"], event["aggregateversion"]
            wire.disordered += version < newest.get(subject, 0)
            newest[subject] = version
            wire.types.setdefault(subject, []).append(event["type"])
        start = f"({page[-1][0]}"
    return wire
