"""What `--help` says: how the process is started, and every setting, by the variable it is read from."""

import sys
import textwrap
from collections.abc import Sequence
from typing import Final

from cortex_core.chassis.settings import Config

_WIDTH: Final = 120

_BETWEEN: Final = """
Without a command it serves, and SIGTERM drains it (docs/blocks/workers.md). Its settings are variables of the
environment; X_FILE may name a file that holds X. Defaults and reasons are in the service's README.
"""


def usage(settings: type[Config], commands: Sequence[str]) -> str:
    """`commands`: the words of each, and what comes after them."""
    ways = [f"{_program()} {words}" for words in ("[--workers N]", *commands)]
    return "\n".join(["usage: " + "\n       ".join(ways), _BETWEEN, *_settings(settings)])


def _program() -> str:
    module = sys.modules["__main__"].__spec__  # none where a file is run
    return f"python -m {module.name}" if module else f"python {sys.argv[0]}"


def _settings(settings: type[Config]) -> list[str]:
    told = {settings.variable(name): field.description or "" for name, field in settings.model_fields.items()}
    column = 4 + max(len(variable) for variable in told)
    lines = []
    for variable, description in sorted(told.items()):
        line = f"  {variable}".ljust(column) + description
        lines.append(textwrap.fill(line, _WIDTH, subsequent_indent=" " * column, break_on_hyphens=False).rstrip())
    return lines
