"""How a hub is: each process with its readiness, memory and restarts. Exits 0: all ready, 1: not all, 3: no hub."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil

from cortex_cli.probe import Answer, http_ready, redis_ready
from cortex_cli.state import Identity, Member, Record, State

ALL_READY: Final = 0
NOT_READY: Final = 1
NOT_RUNNING: Final = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One process, now."""

    member: Member
    answer: Answer
    memory: int | None  # bytes resident, of the process and what it has started; None where it does not run

    def as_json(self) -> dict[str, Any]:
        member = self.member
        return {
            "name": member.name,
            "kind": member.kind,
            "url": member.url,
            "docs": f"{member.url}/docs" if member.kind == "service" else None,
            "pid": member.identity.pid if member.identity and self.memory is not None else None,
            "ready": self.answer.ready,
            "reason": self.answer.reason or None,
            "readyAfterSeconds": member.ready_after,
            "memoryBytes": self.memory,
            "restarts": member.restarts,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """The whole hub, now. `record` is None where none runs."""

    state: State
    record: Record | None
    rows: Sequence[Row]

    @property
    def exit_status(self) -> int:
        if self.record is None:
            return NOT_RUNNING
        return ALL_READY if all(row.answer.ready for row in self.rows) else NOT_READY

    def as_json(self) -> dict[str, Any]:
        return {
            "state": str(self.state.folder),
            "running": self.record is not None,
            "phase": self.record.phase if self.record else None,
            "pid": self.record.supervisor.pid if self.record else None,
            "services": [row.as_json() for row in self.rows if row.member.kind == "service"],
            "foundation": [row.as_json() for row in self.rows if row.member.kind != "service"],
        }


def take_status(state: State) -> Status:
    """Asks every process of the hub, all at once; takes about a second where one does not answer."""
    record = state.running()
    if record is None:
        return Status(state, None, ())
    answers = asyncio.run(_ask(record.members))
    rows = [
        Row(member, answer, _memory(member.identity)) for member, answer in zip(record.members, answers, strict=True)
    ]
    return Status(state, record, rows)


async def _ask(members: Sequence[Member]) -> list[Answer]:
    return await asyncio.gather(*(_ready(member) for member in members))


async def _ready(member: Member) -> Answer:
    if member.identity is None or member.identity.process() is None:
        return Answer(ready=False, reason="does not run")
    if member.kind == "redis":
        return await redis_ready(member.url)
    return await http_ready(member.url)


def _memory(identity: Identity | None) -> int | None:
    process = identity.process() if identity else None
    if process is None:
        return None
    try:
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:  # it ended while being looked at
        return None
