"""Bodies in pieces: handed on as they come, collected within a bound, given up when nobody is there."""

import asyncio
from typing import Any

import pytest

from cortex_core.testing import eventually

Site = Any  # conftest.py


def streaming(pieces: int, size: int = 1000, sent: list[int] | None = None, **headers: str) -> Any:
    """An application that sends so many pieces and writes down how many it got rid of."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raw = [(name.lower().replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        for number in range(pieces):
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": number < pieces - 1})
            if sent is not None:
                sent.append(number)

    return app


class SlowClient:
    """Takes one message each time it is told to."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.permits = asyncio.Semaphore(0)

    async def send(self, message: Any) -> None:
        await self.permits.acquire()
        self.got.append(message)

    def take(self, count: int) -> None:
        for _ in range(count):
            self.permits.release()


async def settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def test_a_body_in_pieces_is_stored_whole(site: Site) -> None:
    site.handler = streaming(3, Cache_Control="max-age=60")
    first = await site.ask()

    assert (first.body, first.complete) == (b"x" * 3000, True)
    assert (await site.ask()).body == b"x" * 3000
    assert len(site.seen) == 1


async def test_pieces_reach_the_client_before_the_last_is_there(site: Site) -> None:
    more = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b", late"})

    site.handler = app
    client = SlowClient()
    client.take(10)
    asking = asyncio.create_task(site.cache(site.scope(), site.receive(), client.send))

    await eventually(lambda: len(client.got) == 2)
    status = dict(client.got[0]["headers"])[b"cache-status"]
    assert status == b"cortex; fwd=uri-miss; fwd-status=200"  # whether it will be stored, nobody knows yet
    assert client.got[1] == {"type": "http.response.body", "body": b"early", "more_body": True}
    more.set()
    await asking


async def test_a_stream_of_events_shows_its_head_at_once(site: Site) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await asyncio.Event().wait()

    site.handler = app
    client = SlowClient()
    client.take(1)
    asking = asyncio.create_task(site.cache(site.scope(), site.receive(), client.send))

    await eventually(lambda: client.got)
    asking.cancel()


async def test_a_slow_client_slows_down_what_is_not_collected(site: Site) -> None:
    sent: list[int] = []
    site.handler = streaming(100, sent=sent)
    client = SlowClient()
    asking = asyncio.create_task(site.cache(site.scope(), site.receive(), client.send))
    await settled()
    assert len(sent) <= 1

    client.take(11)
    await settled()

    assert 9 <= len(sent) <= 12
    client.take(1000)
    await asking
    assert len(client.got) == 101


async def test_a_slow_client_does_not_slow_down_what_is_collected(site: Site) -> None:
    site.handler = streaming(10, Cache_Control="max-age=60")
    client = SlowClient()
    asking = asyncio.create_task(site.cache(site.scope(), site.receive(), client.send))
    await settled()

    assert (await site.ask()).body == b"x" * 10_000
    assert len(site.seen) == 1
    client.take(1000)
    await asking


async def test_what_turns_out_too_long_is_handed_on_at_the_clients_pace(site: Site) -> None:
    sent: list[int] = []
    site.build(max_body=10_000)
    site.handler = streaming(100, sent=sent, Cache_Control="max-age=60")
    client = SlowClient()
    asking = asyncio.create_task(site.cache(site.scope(), site.receive(), client.send))
    await settled()

    assert 10 <= len(sent) <= 11  # the bound, and not a piece more than the one that crossed it
    client.take(1000)
    await asking
    assert (len(client.got), len(site.store)) == (101, 0)


async def test_the_others_go_on_their_own_once_it_is_too_long(site: Site) -> None:
    site.build(max_body=5_000)
    site.handler = streaming(10, Cache_Control="max-age=60")
    site.gate.clear()
    tasks = [asyncio.create_task(site.ask()) for _ in range(3)]
    await eventually(lambda: site.seen)
    await settled()
    site.gate.set()

    assert {reply.body for reply in await asyncio.gather(*tasks)} == {b"x" * 10_000}
    assert len(site.seen) == 3


async def test_a_declared_length_beyond_the_bound_lets_the_others_go_at_once(site: Site) -> None:
    site.build(max_body=5_000)
    site.handler = streaming(10, Cache_Control="max-age=60", Content_Length="10000")
    client = SlowClient()
    slow = asyncio.create_task(site.cache(site.scope(), site.receive(), client.send))
    await settled()

    assert (await site.ask()).body == b"x" * 10_000
    client.take(1000)
    await slow


async def test_a_client_that_leaves_ends_what_nobody_else_wants(site: Site) -> None:
    ended: list[str] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            ended.append("ended")

    site.handler = endless
    client = SlowClient()
    client.take(5)
    asking = asyncio.create_task(site.cache(site.scope(), site.receive(), client.send))
    await eventually(lambda: len(client.got) == 5)

    asking.cancel()

    await eventually(lambda: ended)


def leaving(gone: asyncio.Event) -> Any:
    """A client who sends its request and leaves when told."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


async def listening(heard: list[str], send: Any, receive: Any) -> None:
    """An application that streams nothing until its client is gone, as one that sends events does."""
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    heard.append((await receive())["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def test_the_application_hears_that_its_only_client_has_left(site: Site) -> None:
    heard: list[str] = []
    site.handler = lambda scope, receive, send: listening(heard, send, receive)
    gone = asyncio.Event()
    asking = asyncio.create_task(site.ask(receive=leaving(gone)))
    await eventually(lambda: site.seen)
    await settled()
    assert heard == []

    gone.set()

    await asking
    assert heard == ["http.disconnect"]


async def test_the_application_is_not_told_while_others_wait(site: Site) -> None:
    heard: list[str] = []
    site.handler = lambda scope, receive, send: listening(heard, send, receive)
    gone = asyncio.Event()
    leader = asyncio.create_task(site.ask(receive=leaving(gone)))
    await eventually(lambda: site.seen)
    follower = asyncio.create_task(site.ask())
    await settled()

    gone.set()
    await settled()
    assert heard == []

    follower.cancel()
    await eventually(lambda: heard)
    await leader


async def test_work_after_the_answer_is_done_and_its_error_raised(site: Site) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"hello"})
        raise ValueError("a background task failed")

    site.handler = app

    with pytest.raises(ValueError, match="background"):
        await site.ask()
    assert (await site.ask()).body == b"hello"


async def test_a_client_that_leaves_after_the_answer_does_not_end_the_work_after_it(site: Site) -> None:
    rest, done = asyncio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"hello"})
        await rest.wait()
        done.append("done")

    site.handler = app
    asking = asyncio.create_task(site.ask())
    await eventually(lambda: len(site.store) == 1)
    asking.cancel()
    await settled()
    rest.set()

    await eventually(lambda: done)


async def test_a_tag_for_a_declared_body_waits_for_all_of_it(site: Site) -> None:
    site.build(etag=True)
    site.handler = streaming(3, Content_Length="3000")

    reply = await site.ask()

    assert (reply["etag"] is not None, reply.body) == (True, b"x" * 3000)


async def test_a_body_longer_than_it_said_gets_no_tag_and_passes(site: Site) -> None:
    site.build(etag=True, max_body=2_000)
    site.handler = streaming(3, Content_Length="1500")

    reply = await site.ask()

    assert (reply["etag"], reply.body) == (None, b"x" * 3000)


async def test_a_body_that_is_not_what_it_said_gets_no_tag(site: Site) -> None:
    site.build(etag=True)
    site.handler = streaming(3, Content_Length="1500")

    assert (await site.ask())["etag"] is None
