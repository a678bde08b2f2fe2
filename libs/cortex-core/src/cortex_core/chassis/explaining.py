"""What is wrong, as those read it who run the service: the variable to set first, and no value, which may be a secret.

Of a URL only where it leads is told: at three in the morning that is what one looks for.
"""

from typing import Final

from pydantic import SecretStr, ValidationError

from cortex_core.chassis.settings import Config
from cortex_core.chassis.urls import place_in
from cortex_core.kernel.errors import CortexError

_SAYS_WHERE: Final = {"event-store": "database_url", "block-store": "blocks_dir", "bus": "redis_url"}
"""The setting by which the one is found whose errors begin so."""


def with_its_variable(settings: Config, error: Exception) -> str:
    """What is wrong, behind the variable that says where it was looked for, if one does."""
    name = _setting_behind(settings, error)
    if name is None:
        return str(error)
    value = getattr(settings, name)
    place = place_in(value.get_secret_value() if isinstance(value, SecretStr) else str(value))
    return f"{settings.variable(name)}: {error}" + (f" (at {place})" if place else "")


def variable_behind(settings: Config, error: Exception) -> str | None:
    """The variable that says where that was looked for which did not answer, or not well."""
    name = _setting_behind(settings, error)
    return None if name is None else settings.variable(name)


def _setting_behind(settings: Config, error: Exception) -> str | None:
    code = error.code if isinstance(error, CortexError) else ""
    name = _SAYS_WHERE.get(code.partition(".")[0], "")
    return name if name in type(settings).model_fields else None


def explain(error: ValidationError, settings: type[Config]) -> list[str]:
    """One line a mistake, each naming the environment variable. Values are not repeated: they may be secrets."""
    lines = []
    for mistake in error.errors(include_url=False, include_input=False, include_context=False):
        message = _in_plain_words(mistake["msg"].removeprefix("Value error, "))
        field = str(mistake["loc"][0]) if mistake["loc"] else ""
        if field in settings.model_fields:
            field = settings.variable(field)
        lines.append(f"{field}: {message}" if field else message)
    return lines


def _in_plain_words(message: str) -> str:
    """Pydantic speaks of input and strings; who reads this has set a variable."""
    if message.startswith("String should match pattern '^https?://"):
        return "must be an address: http://… or https://…"
    whole, _, _ = message.partition(", unable to ")
    return f"must be {whole.removeprefix('Input should be ')}" if whole.startswith("Input should be ") else message
