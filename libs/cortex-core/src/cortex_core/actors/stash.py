"""Stash: messages that came too early, put aside until the actor says so. Bounded."""

from collections.abc import Iterator
from typing import Any

from cortex_core.actors.errors import StashFull
from cortex_core.actors.hooks import Undelivered
from cortex_core.actors.mailbox import NO_CONTEXT, Envelope, Mailbox


class Stash:
    """At most `room` of what was in `mailbox`, in their order."""

    __slots__ = ("_items", "_mailbox", "_room")

    def __init__(self, mailbox: Mailbox, room: int) -> None:
        self._items: list[Envelope] = []  # and no deque: an empty one takes 600 bytes
        self._mailbox = mailbox
        self._room = room

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Envelope]:
        return iter(self._items)

    def put(self, item: Any) -> Envelope:
        """`item`, put aside: in an envelope, so that it is told from others that are equal.

        Raises StashFull; RuntimeError where it is put aside already.
        """
        envelope: Envelope = item if type(item) is Envelope else Envelope(item, NO_CONTEXT)
        if envelope.aside:
            raise RuntimeError("there is no message at hand that could be put aside")
        if len(self._items) >= self._room:
            self._make_room()
        if len(self._items) >= self._room:
            raise StashFull(f"{self._room} messages are put aside already")
        envelope.aside, envelope.guard = True, None  # it has been received: its timer's end does not take it back
        self._items.append(envelope)
        return envelope

    def _make_room(self) -> None:
        """Asks that were given up go."""
        gone = [item for item in self._items if item.given_up]
        self._items[:] = [item for item in self._items if not item.given_up]
        for item in gone:
            self._mailbox.bury(item, Undelivered.ABANDONED)

    def give_back(self) -> None:
        """All of them come next, before the mailbox."""
        self._mailbox.put_back(self._items)
        self._items.clear()

    def forget(self, item: Any) -> None:
        """`item`, if it was put aside, does not come again: neither from here, nor if it has been given back."""
        if type(item) is Envelope and item.aside:
            for place in (self._items, self._mailbox.queue):
                if item in place:
                    place.remove(item)
