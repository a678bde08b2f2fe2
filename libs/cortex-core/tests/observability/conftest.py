"""Log lines as the objects they are, with the process's logging put back afterwards."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cortex_core.observability import configure_logging
from cortex_core.observability import logging as ours


class Lines(io.StringIO):
    """What was written, one JSON object a line."""

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def one(self) -> dict[str, Any]:
        (line,) = self.all()
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Logging configured for a service `order` at level info, into this."""
    root, output = logging.getLogger(), ours._output
    before = (root.level, list(root.handlers), dict(vars(output)))
    named = {name: logging.getLogger(name).level for name in ("cortex_core", "cortex_order", "aiosqlite", "sqlalchemy")}
    stream = Lines()
    configure_logging(service="order", level="info", stream=stream)
    yield stream
    root.level, root.handlers[:] = before[0], before[1]
    vars(output).update(before[2])
    for name, level in named.items():
        logging.getLogger(name).setLevel(level)
