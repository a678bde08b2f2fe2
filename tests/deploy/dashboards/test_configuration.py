"""The files that Prometheus, Grafana, the collector and Loki read agree with the hub and with each other."""

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
OBSERVABILITY = ROOT / "observability"

GATEWAY_METRICS_PORT = 9464  # what Compose sets: the world does not see its figures


def read(name: str) -> Any:
    return yaml.safe_load((OBSERVABILITY / name).read_text(encoding="utf-8"))


def test_prometheus_asks_for_every_service_on_its_port() -> None:
    services = tomllib.loads((ROOT / "topology.toml").read_text())["services"]
    hub = next(job for job in read("prometheus/prometheus.yml")["scrape_configs"] if job["job_name"] == "cortex-hub")

    asked = {name: each["port"] for each in hub["dns_sd_configs"] for name in each["names"]}

    inside = {"gateway": GATEWAY_METRICS_PORT}
    assert asked == {name: service["port"] for name, service in services.items()} | inside
    assert {each["type"] for each in hub["dns_sd_configs"]} == {"A"}  # every replica of a scaled one


def test_a_services_own_label_stays_and_the_scrapes_fills_the_rest() -> None:
    hub = next(job for job in read("prometheus/prometheus.yml")["scrape_configs"] if job["job_name"] == "cortex-hub")
    assert hub["honor_labels"] is True
    assert {"source_labels": ["__meta_dns_name"], "target_label": "service"} in hub["relabel_configs"]


def test_grafanas_ways_between_sources_lead_to_sources_that_there_are() -> None:
    sources = read("grafana/provisioning/datasources/cortex.yml")["datasources"]
    uids = {each["uid"]: each["type"] for each in sources}
    text = (OBSERVABILITY / "grafana/provisioning/datasources/cortex.yml").read_text()

    assert uids == {"cortex-prometheus": "prometheus", "cortex-loki": "loki", "cortex-jaeger": "jaeger"}
    assert set(re.findall(r"datasourceUid: (\S+)", text)) <= set(uids)
    assert [each["name"] for each in sources if each.get("isDefault")] == ["Prometheus"]


@pytest.mark.parametrize("name", ["otel-collector/traces.yml", "otel-collector/logs.yml", "jaeger/jaeger.yml"])
def test_a_pipeline_is_made_of_parts_that_are_configured(name: str) -> None:
    configured = read(name)
    for pipeline in configured["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(configured[kind]), kind
    assert set(configured["service"].get("extensions", ())) <= set(configured.get("extensions", ()))


@pytest.mark.parametrize("name", ["otel-collector/traces.yml", "otel-collector/logs.yml"])
def test_the_collectors_memory_is_bounded_before_anything_else(name: str) -> None:
    configured = read(name)
    for pipeline in configured["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"
    limiter = configured["processors"]["memory_limiter"]
    assert limiter["limit_mib"] + limiter["spike_limit_mib"] <= 128


def test_the_log_shipper_knows_every_service() -> None:
    services = tomllib.loads((ROOT / "topology.toml").read_text())["services"]
    text = (OBSERVABILITY / "otel-collector" / "logs.yml").read_text()
    assert "|".join(services) in text


def test_a_line_is_on_disk_before_it_counts_as_read() -> None:
    """What test_log_shipper.py sees in a real collector, where there is none."""
    logs = read("otel-collector/logs.yml")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["log-collector"]
    queue = logs["exporters"]["otlp_http"]["sending_queue"]

    assert logs["service"]["extensions"] == ["file_storage"]
    assert logs["receivers"]["file_log"]["storage"] == queue["storage"] == "file_storage"
    assert logs["service"]["pipelines"]["logs"]["processors"] == ["memory_limiter"]  # `batch` keeps lines in memory
    assert "--feature-gates=stanza.synchronousLogEmitter" in compose["command"]  # so would the receiver
    assert f"log-collector:{logs['extensions']['file_storage']['directory']}" in compose["volumes"]


@pytest.mark.parametrize(
    ("name", "exporter"), [("otel-collector/logs.yml", "otlp_http"), ("otel-collector/traces.yml", "otlp_grpc")]
)
def test_what_nobody_takes_is_tried_without_end_and_bounded(name: str, exporter: str) -> None:
    told = read(name)["exporters"][exporter]
    assert told["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert told["sending_queue"]["queue_size"] > 0
    assert told["sending_queue"]["sizer"] in {"bytes", "items"}  # a `request` may be of any size


def test_a_request_is_no_larger_than_loki_takes_at_once() -> None:
    """It would be refused and tried again for ever. 4 MB is what Loki's parts send each other."""
    batch = read("otel-collector/logs.yml")["exporters"]["otlp_http"]["sending_queue"]["batch"]
    assert batch["sizer"] == "bytes"
    assert batch["max_size"] <= 2 << 20


def test_loki_takes_structured_metadata_and_forgets_after_a_while() -> None:
    limits = read("loki/loki.yml")["limits_config"]
    assert limits["allow_structured_metadata"] is True
    assert limits["retention_period"] == "168h"
    assert read("loki/loki.yml")["schema_config"]["configs"][-1]["schema"] == "v13"


def test_nothing_is_told_to_makers_or_installed_from_them() -> None:
    """At the start, while nobody asks. By the documentation of Grafana 12.2 and Loki 3.5; the others tell nobody."""
    grafana = ConfigParser()
    grafana.read_string((OBSERVABILITY / "grafana" / "grafana.ini").read_text())
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]

    assert {name: dict(section) for name, section in grafana.items() if section} == {
        "auth.anonymous": {"enabled": "false"},
        "users": {"allow_sign_up": "false"},
        "analytics": dict.fromkeys(("reporting_enabled", "check_for_updates", "check_for_plugin_updates"), "false"),
        "plugins": {"preinstall_disabled": "true", "public_key_retrieval_disabled": "true"},
        "news": {"news_feed_enabled": "false"},
        "security": {"disable_gravatar": "true"},
        "snapshots": {"external_enabled": "false"},
    }
    assert "./observability/grafana/grafana.ini:/etc/grafana/grafana.ini:ro" in compose["volumes"]
    assert compose["environment"].keys() == {"GF_SECURITY_ADMIN_PASSWORD__FILE"}  # which would overrule the file
    assert read("loki/loki.yml")["analytics"]["reporting_enabled"] is False
    for name in ("otel-collector/traces.yml", "otel-collector/logs.yml", "jaeger/jaeger.yml"):
        assert read(name)["service"]["telemetry"]["metrics"]["level"] == "none"
