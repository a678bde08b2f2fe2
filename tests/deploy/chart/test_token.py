"""The chart's token: its text is a Secret that outlives revisions; what it may goes back with the revision."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from helm_python import HelmError

from cortex_core.security.static_tokens import parse_static_tokens

from .trial import TRIAL, Render

LIST = "cortex-hub/static-tokens"


def told(objects: Render, values: dict[str, Any]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The annotations of the gateway's pods, and the sources of their folder of secrets."""
    template = objects({**TRIAL, **values})["Deployment", "hub-gateway"]["spec"]["template"]
    (volume,) = [each for each in template["spec"]["volumes"] if each["name"] == "secrets"]
    return template["metadata"]["annotations"], volume["projected"]["sources"]


@pytest.mark.parametrize("way", ["helm", "job"])
def test_the_gateway_knows_it_by_what_its_own_pod_says(objects: Render, tmp_path: Path, way: str) -> None:
    token = {"scopes": ["orders:read", "keys:admin"], "plan": "free", "tenant": "acme"}
    values = {"secrets": {"by": way}, "settings": {"tenants": ["public", "acme"]}, "auth": {"token": token}}

    annotations, sources = told(objects, values)

    listed = {"path": "tokens.json", "fieldRef": {"fieldPath": f"metadata.annotations['{LIST}']"}}
    assert {"downwardAPI": {"items": [listed]}} in sources
    assert {"secret": {"name": "hub-token", "items": [{"key": "token", "path": "token"}]}} in sources
    (tmp_path / "token").write_text("st_" + "a" * 48)
    (who,) = parse_static_tokens(annotations[LIST].encode(), folder=tmp_path).principals
    assert (who.subject, who.scopes, who.plan, who.tenant) == ("helm", set(token["scopes"]), "free", "acme")


def test_only_the_gateways_pods_differ_where_it_may_something_else(objects: Render) -> None:
    """No hook, which no rollback takes back, and no ConfigMap, which changes under the pods of before."""
    usual = objects({**TRIAL, "secrets": {"by": "job"}})

    other = objects({**TRIAL, "secrets": {"by": "job"}, "auth": {"token": {"scopes": ["keys:admin"], "plan": "free"}}})

    assert [key for key in usual if usual[key] != other[key]] == [("Deployment", "hub-gateway")]


def test_one_of_yours_is_all_yours(objects: Render) -> None:
    annotations, sources = told(objects, {"secrets": {"existingToken": "mine"}, "settings": {"tenants": ["acme"]}})

    assert LIST not in annotations
    assert sources[-1] == {"secret": {"name": "mine", "items": [{"key": "tokens.json", "path": "tokens.json"}]}}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"auth": {"token": {"scopes": ["orders:raed"]}}}, "at '/auth/token/scopes/0': value must be one of"),
        ({"auth": {"token": {"tenant": "acme"}}}, "auth.token.tenant is acme: there are public"),
        ({"settings": {"tenants": ["acme", "umbrella"]}}, "auth.token.tenant is public: there are acme, umbrella"),
        (
            {"services": {"gateway": {"settings": {"plans": "gold = 9/s, free=1/s", "defaultPlan": "free"}}}},
            "auth.token.plan is pro: there are free, gold",
        ),
        ({"services": {"gateway": {"podAnnotations": {LIST: "[]"}}}}, f"{LIST} is the chart's own"),
    ],
)
def test_what_the_gateway_would_not_start_with_is_refused(objects: Render, values: dict[str, Any], line: str) -> None:
    with pytest.raises(HelmError) as refused:
        objects({**TRIAL, **values})

    assert line in str(refused.value)


def test_the_plans_that_there_are_unless_others_are_set_are_the_gateways(objects: Render) -> None:
    plans = importlib.import_module("cortex_gateway.settings").Settings.model_fields["plans"].default

    with pytest.raises(HelmError) as refused:
        objects({**TRIAL, "auth": {"token": {"plan": "gold"}}})

    assert f"auth.token.plan is gold: there are {', '.join(sorted(plans))}" in str(refused.value)
