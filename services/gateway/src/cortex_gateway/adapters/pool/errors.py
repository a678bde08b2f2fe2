"""What a service did wrong, in the port's words: each names the service and no address."""

from typing import Any, Final

from cortex_core.chassis import OutOfTime, UpstreamTimeout, UpstreamUnavailable
from cortex_core.kernel import Kind
from cortex_core.resilience import Refusal
from cortex_gateway.routes import Service

CONNECT: Final = 0.45  # seconds to a service on the same network: longer means that it is not there; twice is < 1 s


class UpstreamMalformed(UpstreamUnavailable):
    """What the service sent is no answer, or does not say where it ends."""

    code, kind = "upstream.malformed", Kind.MALFORMED


def unavailable(service: Service, why: str, **more: Any) -> UpstreamUnavailable:
    """When to come back is not said here: our own retry would have to keep to it. The answer says a second."""
    return UpstreamUnavailable(f"the {service} service is not there now ({why})", service=service, **more)


def silent(service: Service) -> UpstreamUnavailable:
    """It takes connections, and does not say that it is there."""
    return unavailable(service, "it says nothing", attempted=False)


def too_many(service: Service, refusal: Refusal) -> UpstreamUnavailable:
    """There was no place."""
    return _refused(service, "too many ask it at once", refusal)


def circuit_open(service: Service, refusal: Refusal) -> UpstreamUnavailable:
    return _refused(service, "its circuit is open", refusal)


def _refused(service: Service, why: str, refusal: Refusal) -> UpstreamUnavailable:
    error = unavailable(service, why, attempted=False)
    error.__cause__ = refusal
    return error


def malformed(service: Service, why: str) -> UpstreamMalformed:
    return UpstreamMalformed(f"what the {service} service answered is malformed ({why})", service=service)


def late(service: Service, allowed: float, *, hurried: bool, attempted: bool = True) -> UpstreamTimeout:
    """`hurried`: our caller allowed less than the route does."""
    kind = OutOfTime if hurried else UpstreamTimeout
    return kind(f"the {service} service kept us waiting for {allowed:.3g} s", service=service, attempted=attempted)
