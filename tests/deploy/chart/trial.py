"""Values that render."""

from collections.abc import Callable
from typing import Any

Render = Callable[[dict[str, Any]], dict[tuple[str, str], dict[str, Any]]]
TRIAL = {"payments": {"sandbox": {"enabled": True}}}
EXTERNAL = {service: {"existingSecret": "theirs"} for service in ("order", "analytics", "storage")}
