"""compute's bounds fit the memory that each deployment gives it, by the service's own figures."""

from pathlib import Path
from typing import Any, cast

import pytest

from cortex_compute.domain import KEPT, Header, ImageFormat, ImageNeedsTooMuch
from cortex_compute.settings import Settings
from cortex_compute.wiring import bounds_of
from scripts.kubernetes.charts import rendered
from scripts.kubernetes.objects import Object, read
from scripts.kubernetes.placements import compose_file, of_compose, of_kubernetes
from scripts.kubernetes.rules.containers import quantity

ROOT = Path(__file__).parents[2]


def of_the_compose_file() -> tuple[int, dict[str, str]]:
    document = compose_file("docker-compose.yml")
    limit = str(document["services"]["compute"]["mem_limit"])
    return int(limit[:-1]) << {"m": 20, "g": 30}[limit[-1]], dict(of_compose(document)["compute"].environment)


def of_objects(objects: list[Object]) -> tuple[int, dict[str, str]]:
    found = next(one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == "hub-compute")
    container = found["spec"]["template"]["spec"]["containers"][0]
    return int(quantity(container["resources"]["limits"]["memory"])), dict(
        of_kubernetes(objects)["compute"].environment
    )


def deployed(deployment: str) -> tuple[int, dict[str, str]]:
    if deployment == "compose":
        return of_the_compose_file()
    if deployment == "chart":
        return of_objects(rendered({"payments": {"sandbox": {"enabled": True}}}))
    return of_objects([one for path in sorted((ROOT / "k8s").glob("*.yaml")) for one in read(path.read_text())])


def problems(limit: int, told: dict[str, str]) -> list[str]:
    """What of the settings does not fit a container's limit of memory."""
    names = ("workers", "queue", "body_limit", "max_pixels", "memory_budget", "server_workers")
    values = {name: told[f"COMPUTE_{name.upper()}"] for name in names if f"COMPUTE_{name.upper()}" in told}
    settings = Settings(env="test", **cast("dict[str, Any]", values))
    try:
        bounds = bounds_of(settings, limit)
    except ValueError as error:
        return [str(error)]
    found = []
    if (bounds.budget + KEPT) * settings.server_workers > limit:
        found.append("budget and process are more than the limit")
    side = int(settings.max_pixels**0.5)
    for format in (ImageFormat.PNG, ImageFormat.JPEG):  # noqa: A001 - the word for it
        try:
            bounds.refuse_above(Header(format, side, side), settings.body_limit)
        except ImageNeedsTooMuch:
            found.append(f"a {format.value} of {settings.max_pixels} pixels, which is taken, never fits")
    return found


@pytest.mark.parametrize("deployment", ["compose", "chart", "k8s"])
def test_what_is_shipped_fits(deployment: str) -> None:
    assert problems(*deployed(deployment)) == []


@pytest.mark.parametrize("deployment", ["compose", "chart", "k8s"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"COMPUTE_MAX_PIXELS": "60000000"}, "never fits"),
        ({"COMPUTE_BODY_LIMIT": str(400 << 20)}, "too little for bodies"),
        ({"COMPUTE_MEMORY_BUDGET": "1000"}, "more than the limit"),
        ({"COMPUTE_SERVER_WORKERS": "3"}, "too little for bodies"),
    ],
)
def test_what_does_not_fit_is_found(deployment: str, change: dict[str, str], says: str) -> None:
    limit, told = deployed(deployment)

    assert any(says in line for line in problems(limit, told | change))
