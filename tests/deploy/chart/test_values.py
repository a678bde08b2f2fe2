"""Wrong values are refused with a line that names them; right ones reach the service as it reads them."""

import importlib
from typing import Any

import pytest
from helm_python import HelmError

from scripts.chart import settings

from .trial import EXTERNAL, TRIAL, Render


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("replicas", 3, "additional properties 'replicas' not allowed"),
        ("services.gatway", {}, "at '/services': additional properties 'gatway' not allowed"),
        ("services.gateway.replicas", "three", "at '/services/gateway/replicas': got string, want integer"),
        ("services.order.settings.paymentTimout", 3, "at '/services/order/settings': additional properties"),
        ("services.order.settings.paymentTimeout", "3 s", "at '/services/order/settings/paymentTimeout': '3 s' does"),
        ("services.order.settings.paymentTimeout", 61, "at '/services/order/settings/paymentTimeout': maximum"),
        ("services.order.settings.databaseUrl", "x", "at '/services/order/settings': additional properties"),
        ("services.order.persistence", {}, "at '/services/order': additional properties 'persistence' not allowed"),
        ("settings.logLevel", "loud", "at '/settings/logLevel': value must be one of"),
        ("redis.sise", "1Gi", "at '/redis': additional properties 'sise' not allowed"),
        ("redis.size", "large", "at '/redis/size': 'large' does not match pattern"),
        ("auth.issuer.jwksUrl", "http://i.example", "at '/auth/issuer/jwksUrl': 'http://i.example' does not match"),
        ("secrets.by", "magic", "at '/secrets/by': value must be one of"),
        ("global.labels", {"helm.sh/chart": "x"}, "at '/global/labels/helm.sh~1chart'"),
        (
            "services.order.podLabels",
            {"app.kubernetes.io/component": "x"},
            "at '/services/order/podLabels/app.kubernetes.io~1component'",
        ),
        ("global.labels", {"team": "a b"}, "at '/global/labels/team': 'a b' does not match"),
        ("global.labels", {"a team": "x"}, "at '/global/labels': additional properties 'a team' not allowed"),
        ("serviceDefaults.podAnnotations", {"a b": "x"}, "at '/serviceDefaults/podAnnotations': additional"),
        ("ingress.host", "http://hub.example", "at '/ingress/host': 'http://hub.example' does not match"),
        ("ingress.host", "Hub.example", "at '/ingress/host': 'Hub.example' does not match"),
        ("gatewayApi.hostnames", ["hub.example:443"], "at '/gatewayApi/hostnames/0': 'hub.example:443' does not"),
        ("dashboards.label", "a label", "at '/dashboards/label': 'a label' does not match"),
        ("image.repository", "https://foo/bar", "at '/image/repository': 'https://foo/bar' does not match"),
        ("image.tag", "a" * 64, "at '/image/tag': 'aaaa"),
        ("image.tag", "1.0-", "at '/image/tag': '1.0-' does not match"),
        ("redis.image", "redis@sha256:abc", "at '/redis/image': 'redis@sha256:abc' does not match"),
        ("postgresql.image", "https://r.test/postgres:16", "at '/postgresql/image'"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(objects: Render, path: str, value: Any, line: str) -> None:
    with pytest.raises(HelmError) as refused:
        objects(nested(path, value))

    assert line in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("ingress.host", "*.hub.example"),
        ("gatewayApi.hostnames", ["hub.example", "*.hub.example"]),
        ("image.repository", "registry.example:5000/a_b/c--d/cortex-hub"),
        ("image.tag", "a" * 63),
        ("redis.image", f"registry.example:5000/redis:7@sha256:{'0' * 64}"),
        ("global.labels", {"example.org/team": "Orders_1"}),
        ("serviceDefaults.podAnnotations", {"example.org/note": "any text: {}"}),
    ],
)
def test_what_the_api_server_would_take_is_taken(objects: Render, path: str, value: Any) -> None:
    assert objects({**TRIAL, **nested(path, value)})


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "payments.url is empty: set it to your payment provider's address, or"),
        ({"payments": {"url": "https://pay.example", "sandbox": {"enabled": True}}}, "exclude each other"),
        ({**TRIAL, "image": {"tag": "latest"}}, "image.tag is latest"),
        ({**TRIAL, "redis": {"image": "redis:latest"}}, "redis.image is redis:latest"),
        ({**TRIAL, "postgresql": {"image": "r.test:5000/postgres"}}, "postgresql.image is r.test:5000/postgres"),
        (
            {**TRIAL, "services": {"order": {"resources": {"requests": {"memory": "1Gi"}}}}},
            "services.order.resources: requests.memory is 1Gi, more than its limit 384Mi",
        ),
        ({**TRIAL, "serviceDefaults": {"rollingUpdate": {"maxSurge": 0}}}, "maxSurge and maxUnavailable are both 0"),
        ({**TRIAL, "serviceDefaults": {"podAnnotations": {"checksum/config": "x"}}}, "the chart's own"),
        ({**TRIAL, "redis": {"enabled": False}}, "externalRedis.existingSecret is empty"),
        ({**TRIAL, "postgresql": {"enabled": False}}, "externalDatabases.analytics.existingSecret is empty"),
        ({**TRIAL, "gatewayApi": {"enabled": True}}, "gatewayApi.parentRefs is empty"),
        ({**TRIAL, "auth": {"issuer": {"name": "https://i.example"}}}, "auth.issuer.jwksUrl is empty"),
        (
            {**TRIAL, "services": {"order": {"autoscaling": {"minReplicas": 9}}}},
            "services.order.autoscaling.minReplicas is more than maxReplicas",
        ),
        ({**TRIAL, "services": {"order": {"autoscaling": {"cpu": 0}}}}, "services.order.autoscaling is enabled and"),
        (
            {**TRIAL, "services": {"storage": {"autoscaling": {"external": {"enabled": True}}}}},
            "services.storage.autoscaling.external.metric is empty",
        ),
    ],
)
def test_what_cannot_work_is_refused(objects: Render, values: dict[str, Any], line: str) -> None:
    with pytest.raises(HelmError) as refused:
        objects(values)

    assert line in str(refused.value)


def example(setting: settings.Setting) -> Any:
    """A value that the schema allows, and not the default."""
    schema = setting.schema
    match schema.get("type"):
        case "boolean":
            return not schema.get("default")
        case "integer":
            return min(max(schema.get("minimum", 1), 1_234_567), schema.get("maximum", 10**7))
        case ["number", "string"]:
            return min(max(schema.get("minimum", 0), 0.75), schema.get("maximum", 10**7))
        case "array":
            return ["one", "two"]
    return {"plans": "free=1/s,mine=2/min", "defaultPlan": "mine"}.get(
        setting.key, schema.get("enum", ["https://a.b"])[-1]
    )


def shown(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list():
            return ",".join(value)
    return str(value)


def test_every_setting_reaches_its_variable(objects: Render) -> None:
    shared = {each.key: example(each) for each in settings.shared()} | {"namespace": "other", "tenants": ["one", "two"]}
    own = {service: {each.key: example(each) for each in settings.of(service)} for service in settings.SERVICES}
    token = {"tenant": "one", "plan": "mine"}
    services = {service: {"settings": own[service]} for service in own}
    values = {**TRIAL, "settings": shared, "services": services, "auth": {"token": token}}

    rendered = objects(values)

    for service in settings.SERVICES:
        told = rendered["ConfigMap", f"hub-{service}"]["data"]
        wanted = {each.variable: shown(own[service][each.key]) for each in settings.of(service)}
        wanted |= {each.variable: shown(shared[each.key]) for each in settings.shared()}
        assert {variable: told.get(variable) for variable in wanted} == wanted


def test_a_fraction_may_come_as_text(objects: Render) -> None:
    """As `helm --set` hands it on."""
    rendered = objects({**TRIAL, "serviceDefaults": {"settings": {"shutdownGrace": "0.5"}}})

    assert rendered["ConfigMap", "hub-order"]["data"]["ORDER_SHUTDOWN_GRACE"] == "0.5"
    pod = rendered["Deployment", "hub-order"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 5 + 5 + 1 + 10


def test_every_variable_is_known_to_its_service(objects: Render) -> None:
    rendered = objects(TRIAL)

    for service in settings.SERVICES:
        model = importlib.import_module(f"cortex_{service}.settings").Settings
        known = {model.variable(name) for name in model.model_fields}
        told = rendered["ConfigMap", f"hub-{service}"]["data"]
        assert {variable.removesuffix("_FILE") for variable in told} - known == set()
        assert told["CORTEX_ENV"] == "production"


def test_a_service_of_its_own_says_what_differs_and_keeps_the_rest(objects: Render) -> None:
    values = {**TRIAL, "services": {"storage": {"probes": {"readiness": {"periodSeconds": 7}}, "preStopSeconds": 9}}}

    pod = objects(values)["Deployment", "hub-storage"]["spec"]["template"]["spec"]

    readiness = pod["containers"][0]["readinessProbe"]
    assert (readiness["periodSeconds"], readiness["initialDelaySeconds"]) == (7, 5)
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 9}}}
    assert pod["terminationGracePeriodSeconds"] == 9 + 5 + 10 + 10  # sleep, drain delay, grace, and some


def test_a_changed_value_makes_the_pods_that_read_it_anew_and_no_others(objects: Render) -> None:
    changed = {**TRIAL, "services": {"order": {"settings": {"paymentTimeout": 9}}}}

    differ = {
        name
        for (kind, name), each in objects(changed).items()
        if kind == "Deployment" and each["spec"]["template"] != objects(TRIAL)[kind, name]["spec"]["template"]
    }

    assert differ == {"hub-order"}


def test_one_volume_of_one_node_holds_the_pods_of_storage_together(objects: Render) -> None:
    many = {**TRIAL, "services": {"storage": {"persistence": {"accessMode": "ReadWriteMany"}}}}

    once, spread = (objects(each)["Deployment", "hub-storage"]["spec"]["template"]["spec"] for each in (TRIAL, many))

    (term,) = once["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert "affinity" not in spread
    assert "topologySpreadConstraints" in spread


def test_an_autoscaler_s_number_is_stated_nowhere(objects: Render) -> None:
    """A rollback or a sync would set it back."""
    made = objects(TRIAL)

    scaled = {name for kind, name in made if kind == "HorizontalPodAutoscaler"}
    assert scaled
    for kind, name in made:
        if kind == "Deployment":
            assert ("replicas" in made[kind, name]["spec"]) is (name not in scaled), name


@pytest.mark.parametrize(("values", "told"), [({}, "10"), ({"autoscaling": {"enabled": False}, "replicas": 0}, "1")])
def test_a_limit_is_divided_among_as_many_gateways_as_there_may_be(
    objects: Render, values: dict[str, Any], told: str
) -> None:
    made = objects({**TRIAL, "services": {"gateway": values}})

    assert made["ConfigMap", "hub-gateway"]["data"]["GATEWAY_REPLICAS"] == told


def test_an_affinity_of_yours_is_beside_the_one_of_the_volume(objects: Render) -> None:
    theirs = {"nodeAffinity": {"x": 1}}

    made = objects({**TRIAL, "serviceDefaults": {"affinity": theirs}})

    def affinity(service: str) -> dict[str, Any]:
        return dict(made["Deployment", f"hub-{service}"]["spec"]["template"]["spec"]["affinity"])

    assert affinity("order") == theirs
    assert affinity("storage").keys() == {"nodeAffinity", "podAffinity"}


def test_an_image_may_be_named_by_its_digest(objects: Render) -> None:
    digest = f"sha256:{'a' * 64}"

    made = objects({**TRIAL, "image": {"tag": "1", "digests": {"order": digest}}})

    def image(name: str) -> str:
        return str(made["Deployment", name]["spec"]["template"]["spec"]["containers"][0]["image"])

    assert image("hub-order") == f"cortex-hub/order:1@{digest}"
    assert image("hub-gateway") == "cortex-hub/gateway:1"


@pytest.mark.parametrize(("limit", "told"), [("256Mi", 161061273), ("1.5Gi", 966367641), (100000000, 60000000)])
def test_redis_is_full_before_its_container_is(objects: Render, limit: object, told: int) -> None:
    made = objects({**TRIAL, "redis": {"resources": {"limits": {"memory": limit}}}})

    assert f"\nmaxmemory {told}\n" in made["ConfigMap", "hub-redis"]["data"]["redis.conf"]


def test_each_place_outside_has_its_own_peers_and_the_port_of_its_url(objects: Render) -> None:
    places = {each: [{"ipBlock": {"cidr": f"192.0.2.{n}/32"}}] for n, each in enumerate(OUTSIDE)}
    values = {
        "payments": {"url": "https://pay.example:8443/v1"},
        "postgresql": {"enabled": False},
        "externalDatabases": EXTERNAL,
        "redis": {"enabled": False},
        "externalRedis": {"existingSecret": "theirs"},
        "auth": {"issuer": {"name": "https://i.example", "jwksUrl": "https://i.example/jwks"}},
        "tracing": {"otlpEndpoint": "http://collector:4317"},
        "networkPolicy": {"externalTo": places},
    }

    made = objects(values)

    for place, (names, port) in OUTSIDE.items():
        for name in names:
            rule = made["NetworkPolicy", name]["spec"]["egress"][0]
            assert rule == {"ports": [{"port": port, "protocol": "TCP"}], "to": places[place]} or (
                place == "stores" and rule["to"] == places[place]
            )


OUTSIDE = {
    "stores": (
        ["hub-order-to-external-database", "hub-order-to-external-redis", "hub-migrations-to-external-database"],
        5432,
    ),
    "payments": (["hub-order-to-external-payments"], 8443),
    "issuer": (["hub-gateway-to-external-issuer"], 443),
    "collector": (["hub-order-to-external-collector"], 4317),
}
