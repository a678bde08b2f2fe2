"""`topology.toml` is the one list of services. What else names them agrees with it."""

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOPOLOGY: dict[str, Any] = tomllib.loads((ROOT / "topology.toml").read_text())
SERVICES: dict[str, Any] = TOPOLOGY["services"]


def test_the_services_are_the_packages() -> None:
    assert set(SERVICES) == {path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").is_file()}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_what_the_topology_says(name: str) -> None:
    service = SERVICES[name]
    main = importlib.import_module(service["module"])
    settings = importlib.import_module(service["module"].replace(".main", ".settings")).Settings

    assert callable(main.app)
    assert callable(main.main)
    assert settings.service == name
    assert settings.model_fields["port"].default == service["port"]
    assert ("database" in service["needs"]) == ("database_url" in settings.model_fields)
    if "exporter_port" in service:
        assert settings.model_fields["exporter_port"].default == service["exporter_port"]


def test_the_gateway_knows_where_the_others_are() -> None:
    settings = importlib.import_module("cortex_gateway.settings").Settings(env="test")

    for name, service in SERVICES.items():
        if name != "gateway":
            assert str(getattr(settings, f"{name}_url")).rstrip("/") == f"http://127.0.0.1:{service['port']}"


def test_each_helper_is_named_by_a_setting_of_the_service_it_helps() -> None:
    for helper in TOPOLOGY["helpers"].values():
        settings = importlib.import_module(f"cortex_{helper['with']}.settings").Settings
        assert helper["url_env"] in {settings.variable(field) for field in settings.model_fields}


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md"])
def test_the_documents_name_each_service_with_its_port(document: str) -> None:
    text = (ROOT / document).read_text()

    for name, service in SERVICES.items():
        assert re.search(rf"{name}\b.*\b{service['port']}\b", text), (
            f"{document} does not say that {name} is on {service['port']}"
        )


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_the_readme_of_a_service_says_what_it_is_for(name: str) -> None:
    text = (ROOT / "services" / name / "README.md").read_text()

    for heading in ("## Routes", "## Events", "## Settings"):
        assert heading in text, f"services/{name}/README.md has no {heading!r}"
    assert str(SERVICES[name]["port"]) in text


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_the_settings_table_of_a_service_is_complete(name: str) -> None:
    settings = importlib.import_module(f"cortex_{name}.settings").Settings
    config = importlib.import_module("cortex_core.chassis").Config
    text = (ROOT / "services" / name / "README.md").read_text()
    own = {settings.variable(field) for field in settings.model_fields if field not in config.model_fields}

    assert {variable for variable in own if f"`{variable}`" not in text} == set()
