"""The envelope: CloudEvents 1.0 in its JSON format (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).

Owns the attributes every event of the hub carries, among them the extensions `tenant`, `aggregateversion` and the
distributed-tracing pair. Refuses to know what the data means: that is `cortex_contracts`.
"""

import json
import json.encoder
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from cortex_core.kernel.clock import parse_rfc3339, rfc3339
from cortex_core.kernel.context import DEFAULT_TENANT, current
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.kernel.ids import new_id

_json: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_quoted: Final = json.encoder.encode_basestring  # the one that leaves what is not ASCII as it is


class MalformedEvent(CortexError):
    """What came is not a CloudEvent of ours."""

    code, kind = "event.malformed", Kind.INVALID


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """A fact in the past tense. `type` is `topic.what.happened`; its first segment names the stream it travels in.

    `data` is JSON-able. `version` is the aggregate's version after the event, where it has one. `dataschema` ends in
    the schema's version (`/1`). `id` is unique for all time: consumers are idempotent by it.
    """

    type: str
    source: str
    subject: str
    data: Mapping[str, Any]
    id: str = field(default_factory=lambda: new_id("evt"))
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    tenant: str = DEFAULT_TENANT
    version: int | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def topic(self) -> str:
        return self.type.partition(".")[0]

    @classmethod
    def about(cls, type: str, *, source: str, subject: str, data: Mapping[str, Any], **more: Any) -> Self:  # noqa: A002 - CloudEvents' own word
        """A new event in the current context: its tenant and its trace are the running task's."""
        context = current()
        trace = context.trace
        more.setdefault("tenant", context.tenant)
        if trace is not None:
            more.setdefault("traceparent", trace.traceparent)
            more.setdefault("tracestate", trace.state or None)
        return cls(type=type, source=source, subject=subject, data=data, **more)

    def to_dict(self) -> dict[str, Any]:
        """The JSON format's members; absent attributes are left out."""
        optional = {
            "aggregateversion": self.version,
            "dataschema": self.dataschema,
            "traceparent": self.traceparent,
            "tracestate": self.tracestate,
        }
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": _moment(self.time),
            "datacontenttype": "application/json",
            "tenant": self.tenant,
            **{name: value for name, value in optional.items() if value is not None},
            "data": self.data,
        }

    @classmethod
    def from_dict(cls, members: Any) -> Self:
        """The inverse of `to_dict`. Unknown attributes are ignored. Raises MalformedEvent, which names the member."""
        if not isinstance(members, dict) or members.get("specversion") != "1.0":
            raise MalformedEvent("not a CloudEvent of version 1.0")
        data, version = members.get("data"), members.get("aggregateversion")
        if not isinstance(data, dict):
            raise MalformedEvent("`data` is not an object")
        if version is not None and (not isinstance(version, int) or isinstance(version, bool) or version < 0):
            raise MalformedEvent("`aggregateversion` is not a whole number from 0")
        try:
            time = parse_rfc3339(_text(members, "time"))
        except ValueError as error:
            raise MalformedEvent("`time` is no RFC 3339 time with an offset") from error
        return cls(
            type=_text(members, "type"),
            source=_text(members, "source"),
            subject=_text(members, "subject"),
            data=data,
            id=_text(members, "id"),
            time=time,
            tenant=_text(members, "tenant", DEFAULT_TENANT),
            version=version,
            dataschema=_optional_text(members, "dataschema"),
            traceparent=_optional_text(members, "traceparent"),
            tracestate=_optional_text(members, "tracestate"),
        )

    def to_json(self) -> bytes:
        """`to_dict` as text, member by member: every publication comes through here."""
        optional = ""
        if self.version is not None:
            optional = f'"aggregateversion":{self.version:d},'
        if self.dataschema is not None:
            optional += f'"dataschema":{_quoted(self.dataschema)},'
        if self.traceparent is not None:
            optional += f'"traceparent":{_quoted(self.traceparent)},'
        if self.tracestate is not None:
            optional += f'"tracestate":{_quoted(self.tracestate)},'
        return (
            f'{{"specversion":"1.0","id":{_quoted(self.id)},"source":{_quoted(self.source)},'
            f'"type":{_quoted(self.type)},"subject":{_quoted(self.subject)},"time":"{_moment(self.time)}",'
            f'"datacontenttype":"application/json","tenant":{_quoted(self.tenant)},{optional}"data":{_json(self.data)}}}'
        ).encode()

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Raises MalformedEvent."""
        try:
            members = json.loads(text)
        except ValueError as error:
            raise MalformedEvent(f"not JSON: {error}") from error
        return cls.from_dict(members)


def _moment(time: datetime) -> str:
    """As `rfc3339`, which asks the C library: for what is in UTC already there is a shorter way."""
    return f"{time.isoformat(timespec='microseconds')[:-6]}Z" if time.tzinfo is UTC else rfc3339(time)


def _optional_text(members: Mapping[str, Any], name: str) -> str | None:
    return None if members.get(name) is None else _text(members, name)


def _text(members: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = members.get(name, default)
    if not isinstance(value, str) or not value:
        raise MalformedEvent(f"`{name}` is missing or not text")
    return value
