"""What heads that come again become, and how much of it is remembered."""

from typing import Any, Final
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi.compression import Load
from cortex_gateway.dataplane import recurring as recurring_module
from cortex_gateway.dataplane.encoding import Encoder, lines_of
from cortex_gateway.dataplane.recurring import Recurring
from cortex_gateway.ports import Head

from .test_encoded_answers import head_of
from .test_express_encoding import MORE, THRESHOLD, TYPES


def json_head(number: int) -> Head:
    return head_of(200, [(b"Content-Type", b"application/json"), (b"X-Number", b"%d" % number)], 2000)


UNASKED: Final = Recurring(Encoder(threshold=THRESHOLD, pressure=lambda: Load.NORMAL))


@given(
    status=st.sampled_from([200, 201, 404, 410, 503]),
    media=st.sampled_from(TYPES),
    more=st.sampled_from(MORE),
    length=st.sampled_from([THRESHOLD, 5000]),
)
def test_what_is_remembered_of_a_head_is_what_would_be_made_of_it(
    status: int, media: bytes, more: list[tuple[bytes, bytes]], length: int
) -> None:
    lines = lines_of([*([(b"Content-Type", media)] if media else []), *more, (b"Content-Length", b"%d" % length)])
    head = Head(status, lines, lines.lower(), length)
    made = Encoder(threshold=THRESHOLD, pressure=lambda: Load.NORMAL).begin(None, head, b"GET")

    for _ in range(2):
        told = UNASKED.unasked(head)

        assert (told.status, told.fields, told.length) == (status, made.fields if made else lines, length)
        assert told.folded == told.fields.lower()


class TestMemory:
    def looking(self, monkeypatch: pytest.MonkeyPatch) -> tuple[Recurring, list[Any]]:
        """One, and what it had to have decided."""
        encoder = Encoder(threshold=THRESHOLD, pressure=lambda: Load.NORMAL)
        asked: list[Any] = []
        begin = encoder.begin

        def noting(accepted: bytes | None, head: Head, method: bytes, **more: Any) -> Any:
            asked.append((accepted, head.fields))
            return begin(accepted, head, method, **more)

        monkeypatch.setattr(encoder, "begin", noting)
        return Recurring(encoder), asked

    def test_a_head_that_comes_again_is_not_looked_at_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        recurring, asked = self.looking(monkeypatch)

        for _ in range(3):
            for accepted in (b"gzip", b"gzip, br", b"br", b"gzip;q=1"):
                recurring.encoded(accepted, json_head(1), b"x" * 2000)

        assert len(asked) == 2  # one a coding

    def test_nor_is_one_that_nobody_gets_encoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        recurring, asked = self.looking(monkeypatch)
        head = head_of(200, [(b"Content-Type", b"image/png")], 2000)

        assert [recurring.encoded(b"gzip", head, b"x" * 2000) for _ in range(3)] == [None] * 3

        assert len(asked) == 1

    def test_another_status_is_another_head(self, monkeypatch: pytest.MonkeyPatch) -> None:
        recurring, asked = self.looking(monkeypatch)

        found = [recurring.encoded(b"gzip", json_head(1)._replace(status=status), b"x" * 2000) for status in (200, 205)]

        assert found == [(ANY, ANY), None]
        assert len(asked) == 2

    def test_few_are_remembered_and_none_that_is_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recurring_module, "_MOST", 2)
        recurring, asked = self.looking(monkeypatch)
        long = head_of(200, [(b"Content-Type", b"application/json"), (b"X-Long", b"x" * 4096)], 2000)

        for head in (json_head(1), json_head(1), json_head(2), json_head(3), json_head(1), long, long):
            assert recurring.encoded(b"gzip", head, b"x" * 2000) is not None

        assert len(asked) == 6

    def test_nobody_fills_the_memory_with_what_he_accepts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recurring_module, "_MOST", 8)
        recurring, _ = self.looking(monkeypatch)

        for number in range(100):
            for accepted in (b"gzip, x%d" % number, b"gzip, %b%d" % (b"x" * 4096, number)):
                assert recurring.encoded(accepted, json_head(1), b"x" * 2000) is not None

        assert len(recurring._codings) <= 8
        assert all(len(accepted) <= 2048 for accepted in recurring._codings)

    def test_few_are_remembered_for_whom_names_no_coding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recurring_module, "_MOST", 2)
        recurring, asked = self.looking(monkeypatch)
        long = b"b: %b\r\n" % (b"x" * 4096)

        for fields in (b"a: 1\r\n", b"a: 1\r\n", b"a: 2\r\n", b"a: 3\r\n", b"a: 1\r\n", long, long):
            recurring.unasked(Head(200, fields, fields, THRESHOLD))

        assert [fields[:4] for _, fields in asked] == [b"a: 1", b"a: 2", b"a: 3", b"a: 1", b"b: x", b"b: x"]
