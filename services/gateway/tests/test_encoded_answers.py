"""Whole answers that are compressed on their way: in one go they are, to the byte, what they are part by part."""

import random
import re
import time
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import HeaderPolicy
from cortex_core.asgi.compression import CompressionDetails, Load, Precompressed
from cortex_core.testing import eventually
from cortex_gateway.dataplane.encoding import Encoder, lines_of
from cortex_gateway.dataplane.heads import Heads
from cortex_gateway.dataplane.recurring import Recurring
from cortex_gateway.dataplane.reply import Reply
from cortex_gateway.ports import Head

from .test_express_encoding import ACCEPTED, MORE, THRESHOLD, TYPES, decoded

CODINGS: Final = (b"gzip", b"br", b"zstd", b"deflate")
TEXT: Final = random.Random(2026).randbytes(4000).hex().encode()  # of which each level makes something else
HEADS: Final = Heads(HeaderPolicy(), secure=True)
OTHERS: Final[list[list[tuple[bytes, bytes]]]] = [
    *MORE,
    [(b"Date", b"now"), (b"Server", b"nginx"), (b"RateLimit", b"x"), (b"x-content-length", b"0")],
    [tuple(line.split(b": ", 1)) for line in HEADS.security.split(b"\r\n")[:-1]],  # type: ignore[misc]  # pairs
    [(b"Referrer-Policy", b"origin"), (b"Cache-Control", b"immutable")],
    [(b"X-Long", b"x" * 5000)],
]


def head_of(status: int, fields: list[tuple[bytes, bytes]], length: int) -> Head:
    lines = lines_of([*fields, (b"Content-Length", b"%d" % length)])
    return Head(status, lines, lines.lower(), length)


HEAD: Final = head_of(200, [(b"Content-Type", b"application/json")], 2000)


class Front:
    """The express lane as a reply sees it, and what it left behind."""

    def __init__(self, load: Load, store: Precompressed | None = None) -> None:
        self.load = load
        self.reports: list[CompressionDetails] = []
        self.recorded: list[Any] = []
        self.changed: list[Any] = []
        encoder = Encoder(
            threshold=THRESHOLD, pressure=lambda: self.load, on_response=self.reports.append, precompressed=store
        )
        self.plane: Any = SimpleNamespace(
            changed=lambda *what: self.changed.append(what),
            encoder=encoder,
            recurring=Recurring(encoder),
            untouched_below=THRESHOLD,
            heads=HEADS,
            cache=b"hub",
            records=SimpleNamespace(ended=lambda _, __, ended: self.recorded.append(ended)),
        )

    def reply(self, accepts: bytes | None, *, safe: bool, limited: bool, keep_alive: bool, old: bool) -> Any:
        """One request's, and the bytes that its client gets."""
        reply: Any = Reply()
        reply.plane, reply.accepted_at, reply.request_id, reply.told = self.plane, 0.0, b"req_1", b"told: 1\r\n"
        reply.entry = SimpleNamespace(safe=safe, head=False, verb="GET", method=b"GET")
        reply.reading = SimpleNamespace(accepts=accepts, held=b"", refuses_identity=b"=0" in (accepts or b""))
        reply.request = SimpleNamespace(path="/api/x", shown_path="/api/x")
        reply.principal = SimpleNamespace(tenant="public")
        reply.trace = None
        reply.limited, reply.keep_alive, reply.old = limited, keep_alive, old
        reply.sent = []
        reply.transport = SimpleNamespace(write=reply.sent.append, close=lambda: reply.sent.append(b"(closed)"))
        reply.connection = SimpleNamespace(
            flow=SimpleNamespace(write_paused=False),
            loop=SimpleNamespace(call_soon=lambda call: None),
            express_complete=lambda: reply.sent.append(b"(complete)"),
        )
        return reply

    def by_parts(self, head: Head, body: bytes, *asked: Any, **how: Any) -> list[bytes]:
        reply = self.reply(*asked, **how)
        reply.answered(head)
        reply.received(body)
        reply.completed()
        return dateless(reply.sent)

    def at_once(self, head: Head, body: bytes, *asked: Any, **how: Any) -> list[bytes]:
        reply = self.reply(*asked, **how)
        reply.arrived(head, body)
        return dateless(reply.sent)

    def left(self) -> tuple[Any, ...]:
        recorded = [(each.status, each.size, each.complete) for each in self.recorded]
        return recorded, self.reports, self.changed


def dateless(sent: list[bytes]) -> list[bytes]:
    return [re.sub(rb"\r\ndate: [^\r]+", b"", each, count=1) for each in sent]


REMEMBERING: Final = {load: Front(load) for load in Load}


def same(head: Head, accepted: bytes | None, load: Load, **how: bool) -> None:
    """Asserts that both ways say, report and record the same, and that the head's coming again makes no difference."""
    body = (TEXT * (1 + (head.length or 0) // len(TEXT)))[: head.length]
    parts, front = Front(load), REMEMBERING[load]
    wanted = parts.by_parts(head, body, accepted, **how)
    for _ in range(2):
        front.recorded[:], front.reports[:], front.changed[:] = [], [], []
        got = front.at_once(head, body, accepted, **how)

        assert b"".join(got) == b"".join(wanted)
        assert front.left() == parts.left()


@pytest.mark.parametrize("load", list(Load))
@pytest.mark.parametrize("coding", CODINGS)
def test_at_once_and_part_by_part_are_the_same_bytes(coding: bytes, load: Load) -> None:
    for more in OTHERS:
        for length in (THRESHOLD, 5000):
            for limited in (True, False):
                head = head_of(200, [(b"Content-Type", b"application/json"), *more], length)
                same(head, coding, load, safe=True, limited=limited, keep_alive=True, old=False)


@given(
    status=st.sampled_from([200, 201, 204, 206, 304, 404, 503]),
    media=st.sampled_from(TYPES),
    more=st.sampled_from(OTHERS),
    length=st.sampled_from([0, THRESHOLD - 1, THRESHOLD, 5000, 64 << 10, (64 << 10) + 1]),
    accepted=st.sampled_from(ACCEPTED),
    load=st.sampled_from(list(Load)),
    safe=st.booleans(),
    limited=st.booleans(),
    keep_alive=st.booleans(),
    old=st.booleans(),
)
def test_so_they_are_whatever_is_answered_and_to_whom(
    status: int,
    media: bytes,
    more: list[tuple[bytes, bytes]],
    length: int,
    accepted: str | None,
    load: Load,
    **how: bool,
) -> None:
    length = 0 if status in {204, 304} else length
    head = head_of(status, [*([(b"Content-Type", media)] if media else []), *more], length)
    same(head, None if accepted is None else accepted.encode(), load, **how)


@pytest.mark.parametrize("coding", [coding.decode() for coding in CODINGS])
def test_it_is_one_write_that_decodes_to_the_body(coding: str) -> None:
    front = Front(Load.NORMAL)
    head, body = head_of(200, [(b"Content-Type", b"application/json")], 4096), b"abcd" * 1024

    for _ in range(2):
        written, complete = front.at_once(
            head, body, coding.encode(), safe=True, limited=True, keep_alive=True, old=False
        )

        begin, _, encoded = written.partition(b"\r\n\r\n")
        assert decoded(encoded, coding) == body
        assert b"\r\ncontent-length: %d\r\n" % len(encoded) in begin
        assert complete == b"(complete)"


def test_what_a_head_becomes_does_not_outlast_the_pressure() -> None:
    front = Front(Load.NORMAL)
    head, body = head_of(200, [(b"Content-Type", b"application/json")], 4096), b"0123456789abcdef" * 256
    how = {"safe": True, "limited": False, "keep_alive": True, "old": False}

    answers = {}
    for load in (Load.OFF, Load.NORMAL, Load.REDUCED, Load.OFF, Load.NORMAL):
        front.load = load
        answers[load] = front.at_once(head, body, b"gzip", **how)[0]

    assert [report.load for report in front.reports] == [Load.NORMAL, Load.REDUCED, Load.NORMAL]
    assert answers[Load.OFF].endswith(b"\r\n\r\n" + body)
    assert b"vary: Accept-Encoding" in answers[Load.OFF]


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_an_immutable_body_is_what_was_made_of_it_before(coding: str) -> None:
    body = b"abcd" * 1024
    head = head_of(200, [(b"Content-Type", b"text/css"), (b"Cache-Control", b"max-age=60, immutable")], len(body))
    how = {"safe": True, "limited": False, "keep_alive": True, "old": False}
    store = Precompressed()
    store.put(store.key(coding, body), b"its best form")
    long_way, front = Front(Load.NORMAL, store), Front(Load.NORMAL, store)

    wanted = long_way.by_parts(head, body, coding.encode(), **how)
    got = [front.at_once(head, body, coding.encode(), **how) for _ in range(2)]

    assert wanted[0].endswith(b"\r\n\r\nits best form")
    assert [b"".join(each) for each in got] == [b"".join(wanted)] * 2
    assert [report.kept for report in front.reports] == [True, True]


async def test_an_immutable_body_is_made_for_those_to_come() -> None:
    store, body = Precompressed(), b"abcd" * 1024
    front = Front(Load.NORMAL, store)
    head = head_of(200, [(b"Content-Type", b"text/css"), (b"Cache-Control", b"immutable")], len(body))

    def ask() -> None:
        front.at_once(head, body, b"br", safe=True, limited=False, keep_alive=True, old=False)

    ask()
    await eventually(lambda: len(store))
    ask()

    assert [report.kept for report in front.reports] == [False, True]


class TestHeads:
    def test_the_length_stands_where_it_would_if_it_had_been_there(self) -> None:
        for more in OTHERS:
            fields = lines_of([*more, (b"content-encoding", b"gzip")])
            for limited in (False, True):
                for length in (7, 1234):
                    whole = fields + b"content-length: %d\r\n" % length
                    wanted = HEADS.passed(whole, whole.lower(), limited=limited, bodiless=False)

                    assert HEADS.encoded(fields, length, limited=limited) == wanted

    def test_few_heads_are_remembered_and_no_long_ones(self) -> None:
        heads = Heads(HeaderPolicy(), secure=False)
        for number in range(600):
            heads.encoded(b"a: %d\r\n" % number, number, limited=False)
            heads.encoded(b"a: %b%d\r\n" % (b"x" * 5000, number), number, limited=False)

        remembered = heads._encoded[False]
        assert 0 < len(remembered) <= 256
        assert max(map(len, remembered)) < 100


def test_an_answer_of_which_nothing_is_said_twice_costs_no_look_at_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front(Load.NORMAL)
    how = {"safe": True, "limited": True, "keep_alive": True, "old": False}
    front.at_once(HEAD, b"x" * 2000, b"gzip", **how)
    monkeypatch.setattr(front.plane.encoder, "begin", None)
    monkeypatch.setattr(Heads, "passed", None)

    (written, _) = front.at_once(HEAD, b"x" * 2000, b"gzip", **how)

    assert b"\r\ncontent-encoding: gzip\r\n" in written
    assert front.recorded[-1].seconds <= time.perf_counter()
