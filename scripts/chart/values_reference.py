"""docs/deploy/values.md: every value of the chart with its default and its comment; every setting with its variable."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import yaml

from scripts.chart import comments, settings

_HEAD: Final = """# Values of the chart

Made by `make render` from the comments in `helm/cortex-hub/values.yaml` and from the services' settings. An unknown key
or a value of a wrong type is refused by `values.schema.json`, with its path. How to use them:
[kubernetes.md](kubernetes.md).

## Values

| value | default | what it is |
|---|---|---|
"""
_SETTINGS: Final = """
## Settings

Lists are joined by commas. What is not set has the service's default, which stands here. Addresses, ports and secrets
are the chart's to give and no values.
"""
_WHOLE: Final = frozenset(
    {"startup", "liveness", "readiness", "rollingUpdate", "disruption", "existingRoleSecrets", "resources"}
)
"""Maps that are one value, and no heading whose keys have rows of their own."""

_TABLE: Final = "\n| value | variable | default | what it is |\n|---|---|---|---|\n"


def generate(values_text: str) -> str:
    """The page's text. Raises ValueError for a value without a comment."""
    said = comments.read(values_text)
    values = yaml.safe_load(values_text)
    rows = [_row(path, values, comment) for path, comment in said.items() if comment]
    parts = [_HEAD, *rows, _SETTINGS]
    parts += ["\n### `settings`: shared by all\n", _TABLE, *_settings("settings", settings.shared())]
    every = settings.of_every_service()
    parts += ["\n### `serviceDefaults.settings`, or `services.<name>.settings`\n", _TABLE]
    parts += [_setting("…settings", each, each.variable.replace("ANALYTICS_", "<SERVICE>_")) for each in every]
    known = {each.key for each in every}
    for service in settings.SERVICES:
        own = [each for each in settings.of(service) if each.key not in known]
        if own:
            place = f"services.{service}.settings"
            parts += [f"\n### `{place}`\n", _TABLE, *_settings(place, own)]
    return "".join(parts)


def _row(path: comments.Path, values: Any, comment: str) -> str:
    value = values
    for key in path:
        value = value[key]
    default = "" if isinstance(value, dict) and value and path[-1] not in _WHOLE else f"`{json.dumps(value)}`"
    return f"| `{'.'.join(path)}` | {default} | {_cell(comment)} |\n"


def _settings(place: str, known: Iterable[settings.Setting]) -> Iterator[str]:
    return (_setting(place, each, each.variable) for each in known)


def _setting(place: str, setting: settings.Setting, variable: str) -> str:
    default = setting.schema.get("default")
    shown = "" if default is None else f"`{json.dumps(default)}`"
    told = str(setting.schema.get("description", ""))
    if "enum" in setting.schema:
        told = f"{told} {', '.join(map(str, setting.schema['enum']))}.".strip()
    return f"| `{place}.{setting.key}` | `{variable}` | {shown} | {_cell(told)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
