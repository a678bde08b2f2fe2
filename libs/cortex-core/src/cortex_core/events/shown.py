"""What lies on the bus as JSON, an object a line: for scripts, and where nothing draws tables. What others wrote comes
out escaped, so it steers no terminal."""

import json
from typing import Any

from cortex_core.events.log import DeadLetter, GroupLag, LogEntry
from cortex_core.kernel.clock import rfc3339


def entry_json(entry: LogEntry) -> str:
    return _json({"entry": entry.entry, "topic": entry.topic, "tenant": entry.tenant, **_event(entry)})


def letter_json(letter: DeadLetter) -> str:
    return _json(
        {
            "entry": letter.entry,
            "group": letter.group,
            "tenant": letter.tenant,
            "topic": letter.topic,
            "time": rfc3339(letter.time),
            "code": letter.code,
            "reason": letter.reason,
            "attempts": letter.attempts,
            **_event(letter),
        }
    )


def lag_json(lag: GroupLag) -> str:
    topics = [
        {
            "topic": topic.topic,
            "waiting": topic.waiting,
            "pending": topic.pending,
            "seconds": round(topic.seconds, 3),
            "members": topic.members,
            "idleSeconds": topic.idle,
        }
        for topic in lag.topics
    ]
    return _json({"group": lag.group, "tenant": lag.tenant, "deadLetters": lag.dead_letters, "topics": topics})


def _event(held: LogEntry | DeadLetter) -> dict[str, Any]:
    if held.event is not None:
        return {"event": held.event.to_dict()}
    return {"event": None, "raw": held.raw.decode(errors="replace")}


def _json(members: dict[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=True, separators=(",", ":"))
