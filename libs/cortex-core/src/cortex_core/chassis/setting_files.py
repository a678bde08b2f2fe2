"""Settings from files: what `X` says may stand in the file that `X_FILE` names, as secrets come to a container.

Owns how such a file is read: UTF-8, one line, an end of line at its end is none of it, at most MAX_BYTES. A variable
and its file are not weighed against each other: both set is refused. Refuses to repeat what stands in a file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, get_args

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

MAX_BYTES: Final = 64 << 10
SUFFIX: Final = "_FILE"


class UnusableFile(ValueError):
    """A file that no setting can be read from. The message names it, and shows nothing of it."""


def read_setting(file: Path) -> str:
    """What stands in `file`. Raises UnusableFile."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path that is none
        raise UnusableFile(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise UnusableFile(f"{file} has more than {MAX_BYTES} bytes")
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UnusableFile(f"{file} is not UTF-8 text") from None
    if not text:
        raise UnusableFile(f"{file} is empty: write the value into it")
    if not text.isprintable():
        raise UnusableFile(f"{file} must be one line of text: the value and nothing else")
    return text


class EnvironmentAndFiles(EnvSettingsSource):
    """The environment, and for each variable of `variables` that is not in it, its file. `paths` are those that name a
    file themselves. Raises ValidationError with one mistake for each file that cannot be used."""

    def __init__(
        self, settings: type[BaseSettings], variables: Mapping[str, bool], read: Callable[[Path], str] = read_setting
    ) -> None:
        super().__init__(settings)
        mistakes: list[InitErrorDetails] = []
        known = dict(self.env_vars)
        for variable, is_path in variables.items():
            place = known.get((variable + SUFFIX).lower())
            if not place:
                continue
            try:
                known[variable.lower()] = self._value(variable, is_path, Path(place), known, read)
            except UnusableFile as error:
                problem = PydanticCustomError("setting_file", "{why}", {"why": str(error)})
                mistakes.append(InitErrorDetails(type=problem, loc=(variable + SUFFIX,), input=None))
        if mistakes:
            raise ValidationError.from_exception_data(settings.__name__, mistakes, hide_input=True)
        self.env_vars = known

    @staticmethod
    def _value(
        variable: str, is_path: bool, file: Path, known: Mapping[str, str | None], read: Callable[[Path], str]
    ) -> str:
        if is_path:
            raise UnusableFile(f"there is no such setting: {variable} names a file itself")
        if known.get(variable.lower()):  # set to nothing, as compose files do, is not set
            raise UnusableFile(f"{variable} is set as well: keep one of the two")
        return read(file)


class FromEnvironment(BaseSettings):
    """Settings that are read so. No .env: Compose and systemd read those."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature, like the two below
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the program says is stronger than what the environment does."""
        variables = {cls.variable(name): _names_a_file(field) for name, field in cls.model_fields.items()}
        return init_settings, EnvironmentAndFiles(settings_cls, variables)

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable a field is read from."""
        alias = cls.model_fields[name].validation_alias
        if isinstance(alias, AliasChoices):
            return str(alias.choices[0])
        return f"{cls.model_config.get('env_prefix', '')}{name}".upper()


def is_marked(field: FieldInfo, mark: str) -> bool:
    """Whether the field's declaration says so."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get(mark) is True


def _names_a_file(field: FieldInfo) -> bool:
    return field.annotation is Path or Path in get_args(field.annotation) or is_marked(field, "place")
