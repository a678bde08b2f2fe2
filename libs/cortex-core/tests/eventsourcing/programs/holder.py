"""Writes for as long as it believes to hold the lease, and says what happens. Its parent stops it with SIGSTOP.

`holder.py URL NAME TTL fenced|unfenced`. It is busy between two writes, as real work is, and goes straight on to the
next: after a SIGSTOP it has not looked at its clock. Prints `gained`, `wrote`, `fenced`, `lost`, each with the epoch.
"""

import asyncio
import sys
import time

from cortex_core.eventsourcing import Fenced, Leadership, Lease, LeaseLost, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store


async def main(url: str, name: str, ttl: str, mode: str) -> None:
    async with open_event_store(url) as store:
        leadership = Leadership(store.leases, "work", holder=name, ttl=float(ttl), on_turn=lambda _: None)
        while True:
            epoch = 0
            try:
                async with leadership.held() as lease:
                    epoch = lease.epoch
                    tell("gained", epoch)
                    await work(store, lease, fenced=mode == "fenced")
            except (LeaseLost, Fenced):
                tell("lost", epoch)


async def work(store: SqlEventStore, lease: Lease, *, fenced: bool) -> None:
    for number in range(1_000_000):
        time.sleep(0.05)  # noqa: ASYNC251 - the point: the loop sees nothing meanwhile
        write = asyncio.ensure_future(
            store.append(
                f"{lease.epoch}.{number}",
                [NewEvent("ticked", {"epoch": lease.epoch})],
                expected_version=0,
                fence=lease.fence if fenced else None,
            )
        )
        try:
            await asyncio.wait({write})
        finally:
            await report(write, lease.epoch)


async def report(write: "asyncio.Future[int]", epoch: int) -> None:
    try:
        await write
    except Fenced:
        tell("fenced", epoch)
        raise
    tell("wrote", epoch)


def tell(word: str, epoch: int) -> None:
    sys.stdout.write(f"{word} {epoch}\n")
    sys.stdout.flush()


asyncio.run(main(*sys.argv[1:]))
