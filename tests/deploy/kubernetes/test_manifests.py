"""`k8s/`, as it is applied: the flat set and each overlay pass Kubernetes' schema and the same rules as the chart."""

from pathlib import Path

import pytest

from scripts.kubernetes.objects import Object, of, read
from scripts.kubernetes.rules import findings
from scripts.kubernetes.schemas import mistakes

FOLDER = Path(__file__).parents[3] / "k8s"
SETS = {
    "flat": sorted(FOLDER.glob("*.yaml")),
    **{
        path.name: sorted(each for each in path.glob("*.yaml") if each.name != "kustomization.yaml")
        for path in sorted((FOLDER / "overlays").iterdir())
    },
}
each = pytest.mark.parametrize("name", SETS)


def objects(name: str) -> list[Object]:
    return [one for path in SETS[name] for one in read(path.read_text())]


@each
def test_no_rule_is_broken(name: str) -> None:
    assert list(findings(objects(name))) == []


@each
def test_kubernetes_would_take_every_object(name: str) -> None:
    assert [line for one in objects(name) for line in mistakes(one)] == []


def test_there_is_a_flat_set_and_two_overlays() -> None:
    assert SETS.keys() == {"flat", "dev", "prod"}
    assert not (FOLDER / "kustomization.yaml").exists(), "`kubectl apply -f k8s/` would refuse it"


@each
def test_no_secret_is_committed(name: str) -> None:
    assert list(of(objects(name), "Secret")) == []


@each
def test_a_job_that_has_ended_goes_so_that_the_next_version_can_be_applied(name: str) -> None:
    """A Job cannot be changed, and `kubectl apply` knows no hooks that would take it away."""
    jobs = list(of(objects(name), "Job"))

    assert jobs
    assert {one["spec"].get("ttlSecondsAfterFinished") for one in jobs} == {600}
