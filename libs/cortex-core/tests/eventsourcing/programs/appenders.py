"""Many writers, a stream each, who append for ever and print what they hold for acknowledged: `STREAM VERSION`.

`appenders.py URL WRITERS honest` prints when `append` has returned; its parent kills it. `... early` is the control: it
prints within the transaction, and once its parent has heard enough, the transaction never comes to its end.
`... BYTES` (a number) lets no file grow beyond that many bytes, as on a full disk, with events of 2 kB each; at the
end, when all were refused, it prints `refused CODE` for each, and then, with room again, what it appends once more.
"""

import asyncio
import resource
import signal
import sys
from typing import Any

from cortex_core.eventsourcing import EventStoreUnavailable, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store

HEARD_ENOUGH = 640


async def main(url: str, writers: int, mode: str) -> None:
    async with open_event_store(url) as store:
        if mode.isdecimal():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(mode), resource.RLIM_INFINITY))
        versions = await asyncio.gather(*(write(store, f"s{n}", mode) for n in range(writers)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for number, version in enumerate(versions):
            await store.append(f"s{number}", [NewEvent("ticked", {})], expected_version=version)
            tell(f"s{number} {version + 1}")


async def write(store: SqlEventStore, stream: str, mode: str) -> int:
    version = len(await store.read(stream))
    note = "x" * 2_000 if mode.isdecimal() else ""

    async def too_early(_: Any) -> None:
        tell(f"{stream} {version + 1}")
        await asyncio.sleep(60 if told >= HEARD_ENOUGH else 0)

    while True:
        event = NewEvent("ticked", {"note": note})
        try:
            await store.append(stream, [event], expected_version=version, also=too_early if mode == "early" else None)
        except EventStoreUnavailable as error:
            tell(f"refused {error.code}")
            return version
        version += 1
        if mode != "early":
            tell(f"{stream} {version}")


told = 0


def tell(line: str) -> None:
    global told  # noqa: PLW0603 - one program, one count
    told += 1
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
