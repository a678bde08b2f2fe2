"""Migrations come where the database is, and are no more in the way than they must be."""

from typing import Any

import pytest
from helm_python import HelmError

from scripts.kubernetes.charts import rendered

from .trial import EXTERNAL, TRIAL, Render


@pytest.mark.parametrize(("bundled", "hook"), [(True, None), (False, "pre-install,pre-upgrade")])
def test_migrations_come_before_the_pods_where_the_database_is_there(
    objects: Render, bundled: bool, hook: str | None
) -> None:
    job = migration(objects, {**TRIAL, "postgresql": {"enabled": bundled}, "externalDatabases": EXTERNAL})

    assert job["metadata"].get("annotations", {}).get("helm.sh/hook") == hook
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in container["env"]] == ["CORTEX_ENV", "ORDER_DATABASE_URL_FILE"]


APPLIED = {**TRIAL, "secrets": {"by": "job"}, "postgresql": {"enabled": False}, "externalDatabases": EXTERNAL}


@pytest.mark.parametrize("values", [TRIAL, APPLIED], ids=["ordinary", "a hook, under kubectl apply an ordinary one"])
def test_a_migration_that_nobody_takes_away_goes_by_itself_and_is_another_job_with_another_image(
    objects: Render, values: dict[str, Any]
) -> None:
    """A Job cannot be changed."""
    first, second, again = (migration(objects, {**values, "image": {"tag": tag}}) for tag in ("1", "2", "1"))

    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["metadata"]["name"] == again["metadata"]["name"]
    assert first["spec"]["ttlSecondsAfterFinished"] == 600


def migration(objects: Render, values: dict[str, Any]) -> dict[str, Any]:
    (found,) = [
        each for (kind, name), each in objects(values).items() if kind == "Job" and name.startswith("hub-order-migrate")
    ]
    return found


def test_migrations_that_are_hooks_bring_their_own_policy_and_account(objects: Render) -> None:
    """Hooks come before the release's own objects."""
    made = objects({**TRIAL, "postgresql": {"enabled": False}, "externalDatabases": {**EXTERNAL, "port": 6432}})

    policy = made["NetworkPolicy", "hub-migrations-to-external-database"]
    account = made["ServiceAccount", "hub-migrations"]
    for one in (policy, account):
        notes = one["metadata"]["annotations"]
        assert notes["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert int(notes["helm.sh/hook-weight"]) < 0
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == {6432, 53}


@pytest.mark.parametrize(("deadline", "wait"), [(600, "300"), (1, "1"), (36000, "3600")])
def test_a_pod_waits_for_half_of_its_job_s_time(objects: Render, deadline: int, wait: str) -> None:
    """Then another does, to the end; the first has said by then what it waited for, and its log stays."""
    spec = migration(objects, {**TRIAL, "migrations": {"deadlineSeconds": deadline}})["spec"]

    (container,) = spec["template"]["spec"]["containers"]
    assert container["args"] == ["db", "upgrade", "--wait", wait]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (deadline, 3)


def test_a_drained_node_costs_a_migration_no_try(objects: Render) -> None:
    rules = migration(objects, TRIAL)["spec"]["podFailurePolicy"]["rules"]

    assert {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]} in rules


@pytest.mark.parametrize("name", ["1hub", "my.hub", "h" * 41])
def test_a_release_s_name_that_no_service_can_have_is_refused(name: str) -> None:
    with pytest.raises(HelmError, match="the release's name"):
        rendered(TRIAL, name=name)
