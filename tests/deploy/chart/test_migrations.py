"""Migrations come where the database is, and are no more in the way than they must be."""

from typing import Any

import pytest

from .trial import EXTERNAL, TRIAL, Render


@pytest.mark.parametrize(("bundled", "hook"), [(True, None), (False, "pre-install,pre-upgrade")])
def test_migrations_come_before_the_pods_where_the_database_is_there(
    objects: Render, bundled: bool, hook: str | None
) -> None:
    job = migration(objects, {**TRIAL, "postgresql": {"enabled": bundled}, "externalDatabases": EXTERNAL})

    assert job["metadata"].get("annotations", {}).get("helm.sh/hook") == hook
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in container["env"]] == ["CORTEX_ENV", "ORDER_DATABASE_URL_FILE"]


def test_an_ordinary_migration_of_another_image_is_another_job(objects: Render) -> None:
    """A Job cannot be changed."""
    first, second = (migration(objects, {**TRIAL, "image": {"tag": tag}})["metadata"]["name"] for tag in ("1", "2"))

    assert first != second
    assert migration(objects, {**TRIAL, "image": {"tag": "1"}})["metadata"]["name"] == first


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
