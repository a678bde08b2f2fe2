"""What is asked for by itself, HEAD and parts: stale while the application fails, as with GET."""

from typing import Any

import pytest

from cortex_core.asgi.http_cache import Outcome

Site = Any  # conftest.py
ASKED: list[dict[str, Any]] = [{"method": "HEAD"}, {"range": "bytes=1-2"}]
IN_TROUBLE = "cortex; fwd=stale{}; detail=stale-if-error"


async def stale(site: Site, says: str = "max-age=60, stale-if-error=600") -> None:
    site.answers(200, b"hello", Cache_Control=says)
    await site.ask()
    await site.clock.advance(61)
    site.hooks.answers.clear()


async def raises(scope: Any, receive: Any, send: Any) -> None:
    raise ConnectionError("down")


@pytest.mark.parametrize("asked", ASKED)
async def test_a_stale_answer_stands_in_for_an_application_that_raises(site: Site, asked: dict[str, Any]) -> None:
    await stale(site)
    site.handler = raises

    reply = await site.ask(**asked)

    assert (reply.status, reply.body) == ((206, b"el") if "range" in asked else (200, b""))
    assert reply["cache-status"] == IN_TROUBLE.format("")
    assert [each.outcome for each in site.hooks.answers] == [Outcome.STALE]
    assert [each.work for each in site.hooks.errors] == ["answer"]


@pytest.mark.parametrize("asked", ASKED)
async def test_a_stale_answer_stands_in_for_a_failure(site: Site, asked: dict[str, Any]) -> None:
    await stale(site)
    site.answers(503, b"busy")

    reply = await site.ask(**asked)

    assert (reply.complete, reply["cache-status"]) == (True, IN_TROUBLE.format("; fwd-status=503"))
    assert not site.hooks.errors


async def test_a_failure_that_breaks_off_is_one_failure(site: Site) -> None:
    await stale(site)

    async def breaks_off(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        raise ConnectionError("down")

    site.handler = breaks_off

    assert (await site.ask(method="HEAD")).status == 200


@pytest.mark.parametrize("asked", ASKED)
async def test_where_nothing_may_stand_in_the_failure_is_the_answer(site: Site, asked: dict[str, Any]) -> None:
    await stale(site, "max-age=60, must-revalidate")
    site.answers(503, b"busy")
    assert (await site.ask(**asked)).status == 503

    site.handler = raises
    with pytest.raises(ConnectionError):
        await site.ask(**asked)


async def test_an_answer_that_has_begun_is_not_replaced(site: Site) -> None:
    await stale(site)

    async def breaks_off(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 206, "headers": []})
        raise ConnectionError("down")

    site.handler = breaks_off

    with pytest.raises(ConnectionError):
        await site.ask(range="bytes=0-0")
    assert [each.status for each in site.hooks.answers] == [206]


async def test_an_application_that_is_well_is_heard(site: Site) -> None:
    await stale(site)

    reply = await site.ask(method="HEAD")

    assert reply["cache-status"] == "cortex; fwd=stale; fwd-status=200"
