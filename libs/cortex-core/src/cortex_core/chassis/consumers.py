"""Consumers: a service's table of event type → use case, joined to the bus.

`consume` shares the work in the service's durable group; `hear` brings every event to every replica. Owns the
translation from envelope to `Delivered`; refuses to swallow: what the table cannot take is an error, and the bus
decides where it goes.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, Self

from pydantic import ValidationError

from cortex_core.chassis.platform import Platform
from cortex_core.events import CloudEvent, Handler, MalformedEvent, Subscription, UnknownEvent
from cortex_core.kernel.context import TraceContext
from cortex_core.kernel.facts import Delivered


class EventType(Protocol):
    """What `cortex_contracts.EventData` looks like from here."""

    type: ClassVar[str]
    schema_version: ClassVar[int]

    @classmethod
    def of(cls, data: Any) -> Self:
        """Raises ValueError."""
        ...


@dataclass(frozen=True, slots=True)
class Binding:
    """These events reach these use cases, in this order."""

    data: type[EventType]
    use_cases: tuple[type[Any], ...]


@dataclass(frozen=True, slots=True)
class Consumers:
    """A table, and how its events reach the service."""

    kind: Literal["group", "fan-out"]
    bindings: tuple[Binding, ...]
    catalog: frozenset[str]

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(binding.data.type.partition(".")[0] for binding in self.bindings)


def on(data: type[EventType], *use_cases: type[Any]) -> Binding:
    """One line of the table."""
    return Binding(data, use_cases)


def consume(*bindings: Binding, catalog: Mapping[str, Any]) -> Consumers:
    """At least once, shared among the replicas. Types of the catalog that the table leaves out are passed over."""
    return Consumers("group", bindings, frozenset(catalog))


def hear(*bindings: Binding, catalog: Mapping[str, Any]) -> Consumers:
    """Every replica hears every event, from its start on."""
    return Consumers("fan-out", bindings, frozenset(catalog))


async def attach(consumers: Consumers, platform: Platform, use_cases: Any) -> Subscription:
    """Starts listening. Raises LookupError where the table names a use case that `use_cases` has no field for."""
    handler = handler_of(consumers, platform, use_cases)
    if consumers.kind == "group":
        return await platform.bus.consume(platform.settings.service, consumers.topics, handler)
    return await platform.bus.subscribe(consumers.topics, handler)


def handler_of(consumers: Consumers, platform: Platform, use_cases: Any) -> Handler:
    """The table as one handler. It raises UnknownEvent and MalformedEvent for what it cannot take."""
    table = {binding.data.type: (binding.data, _instances(binding, use_cases)) for binding in consumers.bindings}

    async def handle(event: CloudEvent) -> None:
        entry = table.get(event.type)
        if entry is None:
            if event.type in consumers.catalog:
                return
            raise UnknownEvent(f"no schema is known for {event.type}", type=event.type)
        data, calls = entry
        delivered = _delivered(event, data)
        trace = TraceContext.parse(event.traceparent, event.tracestate or "")
        with platform.tracer.start_span(f"{event.type} process", kind="consumer", parent=trace) as span:
            span.set_attribute("messaging.system", "redis")
            span.set_attribute("messaging.message.id", event.id)
            span.set_attribute("cortex.tenant", event.tenant)
            for call in calls:
                await call(delivered)

    return handle


def _instances(binding: Binding, use_cases: Any) -> list[Callable[[Delivered[Any]], Awaitable[None]]]:
    held = [getattr(use_cases, field.name) for field in fields(use_cases)]
    found = []
    for wanted in binding.use_cases:
        instance = next((each for each in held if isinstance(each, wanted)), None)
        if instance is None:
            raise LookupError(
                f"{type(use_cases).__name__} has no {wanted.__name__}, which {binding.data.type} is bound to"
            )
        found.append(instance)
    return found


def _delivered(event: CloudEvent, data: type[EventType]) -> Delivered[Any]:
    version = (event.dataschema or "").rpartition("/")[2]
    if version.isdigit() and int(version) > data.schema_version:
        raise UnknownEvent(f"{event.type} in schema version {version}; {data.schema_version} is the newest known here")
    try:
        content = data.of(dict(event.data))
    except ValueError as error:
        raise MalformedEvent(f"{event.type}: {_complaint(error)}") from error
    return Delivered(event.id, event.type, event.time, event.tenant, event.subject, event.version, content)


def _complaint(error: ValueError) -> str:
    """What is wrong where, without what was found there: this text is logged, and what customers wrote is not."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'data'}: {each['type']}" for each in problems)
