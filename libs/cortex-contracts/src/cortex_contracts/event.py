"""What an event's data looks like: a frozen pydantic model that knows its CloudEvents type and schema version."""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class EventData(BaseModel):
    """The `data` of one event type. camelCase on the wire; members unknown to this version are ignored, so that a
    publisher may add some (a change that is not an addition is a new schema version)."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # errors are logged; what customers wrote is not
    )

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1

    @classmethod
    def dataschema(cls) -> str:
        """The URI that goes with the event: its last segment is the schema's version."""
        return f"urn:cortex:event:{cls.type}/{cls.schema_version}"

    @classmethod
    def of(cls, data: Any) -> Self:
        """Raises ValueError (pydantic's ValidationError) that names what is wrong, and does not repeat it."""
        return cls.model_validate(data)

    def wire(self) -> dict[str, Any]:
        """JSON-able members for the envelope's `data`; absent optional ones are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


__all__ = ["EventData", "ValidationError"]
