"""values.schema.json refuses what nobody meant: an unknown key, a value of the wrong type; the line names it."""

from typing import Any

import pytest
from helm_python import HelmValuesError

from scripts.kubernetes.charts import rendered

TRIAL: dict[str, Any] = {"payments": {"sandbox": {"enabled": True}}}

REFUSED = [
    ("replica", 3),
    ("services.gateway.replicas", "many"),
    ("services.gateway.replicas", -1),
    ("services.gatway.replicas", 3),
    ("services.order.settings.paymentTimout", 3),
    ("services.order.settings.paymentTimeout", "soon"),
    ("services.order.settings.paymentTimeout", 61),
    ("services.gateway.settings.rateLimitPerMinute", -1),
    ("services.gateway.autoscaling.enabled", "yes"),
    ("serviceDefaults.probes.readiness.periodSeconds", "10s"),
    ("settings.logLevel", "loud"),
    ("settings.redisUrl", "redis://somewhere"),
    ("auth.token.scopes", "orders:read"),
    ("secrets.by", "hand"),
    ("redis.enabled", "no"),
    ("ingress.host", 7),
    ("networkPolicy.enabeld", True),
    ("payments.sandbox.failureRate", 2),
    ("services.order.resources.limits.memroy", "1Gi"),
    ("services.notification.settings.hosts", ["hub.test"]),
    ("services.order.disruption.maxUnavailable", 0),
    ("services.order.podLabels", {"app.kubernetes.io/component": "mine"}),
    ("global.labels", {"app.kubernetes.io/instance": "mine"}),
    ("image.repository", "reg/Foo Bar"),
    ("image.digests.order", "sha256:1"),
]


def nested(path: str, value: object) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    found = dict(one)
    for key, value in other.items():
        found[key] = (
            merged(found[key], value) if isinstance(found.get(key), dict) and isinstance(value, dict) else value
        )
    return found


@pytest.mark.parametrize(("path", "value"), REFUSED, ids=[f"{path}={value}" for path, value in REFUSED])
def test_a_wrong_value_is_refused_and_named(path: str, value: object) -> None:
    with pytest.raises(HelmValuesError) as refused:
        rendered(merged(TRIAL, nested(path, value)))

    place, named = path.split("."), value if isinstance(value, dict) else ()
    assert any(part in str(refused.value) for part in ("gatway", place[-1], "/".join(place), *named))


def test_what_is_right_is_taken() -> None:
    assert rendered(merged(TRIAL, nested("services.order.settings.paymentTimeout", 60)))
