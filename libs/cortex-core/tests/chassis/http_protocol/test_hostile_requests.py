"""What is wrong is refused, once, under its code, and nothing behind it is ever seen by an application."""

from collections.abc import Iterable

import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits, HttpProtocol, RefusalDetails, guarded
from cortex_core.testing import serving
from cortex_core.testing.hostile import GOOD, HOSTILE, Good, Hostile, Recorder, exchange, in_pieces

IN_EVERY_TWO = [
    each
    for each in HOSTILE
    if each.name
    in {
        "two blanks after the method",
        "RTSP by GET",
        "no Host",
        "two",
        "folded by a blank",
        "beside a coding",
        "h2c with a body",
        "extension with LF",
        "length as a trailer",
        "chunk that is none",
        "more than its length",
    }
]


def port_of(server: object) -> int:
    port = server._base_url.port  # type: ignore[attr-defined]
    assert isinstance(port, int)
    return port


async def assert_refused(port: int, hostile: Hostile, pieces: Iterable[bytes], app: Recorder) -> None:
    """One answer to what is wrong, behind those to what stands before it; and then the end."""
    app.seen.clear()
    heads = 1 if hostile.name.startswith("HEAD") else 0

    answers, ended = await exchange(port, pieces, heads=heads)

    assert ended
    assert [answer.status for answer in answers] == [200] * hostile.before + [hostile.status]
    assert answers[-1].code == hostile.code
    assert answers[-1].headers["connection"] == "close"
    assert answers[-1].headers["x-content-type-options"] == "nosniff"
    assert answers[-1].headers["x-request-id"].startswith("req_")
    assert len(app.seen) == hostile.before
    assert app.sockets == 0
    assert b"/smuggled" not in [target for _, target, _, _ in app.seen]


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
async def test_a_hostile_request_is_refused_whole_and_in_pieces(hostile: Hostile) -> None:
    app, told = Recorder(), list[RefusalDetails]()
    data = hostile.wire
    async with serving(app, protocol=guarded(HttpProtocol, ConnectionLimits(), told.append)) as server:
        await assert_refused(port_of(server), hostile, [data], app)
        await assert_refused(port_of(server), hostile, in_pieces(data), app)

    assert [(details.reason, details.status) for details in told] == [(hostile.code, hostile.status)] * 2


@pytest.mark.parametrize("hostile", IN_EVERY_TWO, ids=str)
async def test_it_does_not_matter_where_a_packet_ends(hostile: Hostile) -> None:
    app = Recorder()
    data = hostile.wire
    async with serving(app) as server:
        for cut in range(1, len(data)):
            await assert_refused(port_of(server), hostile, [data[:cut], data[cut:]], app)


@pytest.mark.parametrize("good", GOOD, ids=str)
async def test_what_looks_strange_and_is_right_is_served(good: Good) -> None:
    app = Recorder()
    async with serving(app) as server:
        for pieces in ([good.data], in_pieces(good.data)):
            app.seen.clear()
            answers, ended = await exchange(port_of(server), pieces, answers=None if good.closes else good.count)

            assert [answer.status for answer in answers] == [200] * good.count
            assert ended == good.closes
            _, target, headers, body = app.seen[-1]
            assert (target, body) == (good.target, good.body)
            assert b"evil" not in [value for _, value in headers]
