"""Watchers: those in this process who hear at once that something was committed, and need not poll for it."""

import logging
from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)


def tell(watchers: Sequence[Callable[[], None]]) -> None:
    """Calls each, on the task that has committed. What one raises is logged and changes nothing: the commit stands, its
    caller is told so, and the others hear of it too."""
    for watcher in tuple(watchers):
        try:
            watcher()
        except Exception:  # noqa: BLE001 - to whoever has committed, it is durable all the same
            _log.exception("a watcher failed")
