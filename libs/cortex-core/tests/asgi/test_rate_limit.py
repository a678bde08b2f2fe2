"""How every answer tells its limits, and what a refusal is."""

import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from cortex_core.asgi import RateLimit, RateLimited, Rule, by_api_key, by_client, by_tenant
from cortex_core.kernel import CortexError, Kind
from cortex_core.ratelimit import Decision, FixedWindow, LimiterUnavailable, RateLimiter, TokenBucket
from cortex_core.ratelimit.policies import local_share
from cortex_core.testing import FakeClock, serving

from .limit_requests import PER_CLIENT, RULES, ask, hello, limited, request


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestHeaders:
    async def test_every_answer_tells_the_limit(self, clock: FakeClock) -> None:
        app = limited(clock)

        await ask(app, request())
        await clock.advance(20)
        status, headers, body = await ask(app, request())

        assert (status, body) == (200, b"hello")
        assert headers == {
            "x-own": "1",
            "x-ratelimit-limit": "3",
            "x-ratelimit-remaining": "1",
            "x-ratelimit-reset": "1800000061",
            "ratelimit-policy": '"default";q=3;w=60',
            "ratelimit": '"default";r=1;t=60',
        }

    async def test_a_refusal_says_when_to_come_back_in_whole_seconds(self, clock: FakeClock) -> None:
        app = limited(clock)
        for _ in range(3):
            await ask(app, request())
        await clock.advance(10.2)

        status, headers, body = await ask(app, request())

        assert status == 429
        assert headers["retry-after"] == "50"
        assert headers["ratelimit"] == '"default";r=0;t=50'
        assert headers["x-ratelimit-remaining"] == "0"
        assert headers["content-length"] == str(len(body))
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body) == {
            "type": "urn:cortex:problem:rate-limit.exceeded",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "more than 3 in 60 s; wait before you ask again",
            "instance": "/",
            "code": "rate-limit.exceeded",
            "traceId": None,
            "policy": "default",
            "limit": 3,
        }
        await clock.advance(50)
        assert (await ask(app, request()))[0] == 200

    async def test_retry_after_is_at_least_a_second(self, clock: FakeClock) -> None:
        app = limited(clock, [Rule([(TokenBucket(rate=100, burst=1), by_client())])])
        await ask(app, request())

        _, headers, _ = await ask(app, request())

        assert (headers["retry-after"], headers["ratelimit-policy"]) == ("1", '"default";q=1;w=1')

    async def test_of_several_policies_all_are_listed_and_the_tightest_is_told(self, clock: FakeClock) -> None:
        tenants = FixedWindow(100, 3600, name="tenant")
        app = limited(clock, [Rule([(tenants, by_tenant()), (PER_CLIENT, by_client())])])

        _, headers, _ = await ask(app, request())

        assert headers["ratelimit-policy"] == '"tenant";q=100;w=3600, "default";q=3;w=60'
        assert headers["ratelimit"] == '"default";r=2;t=60'
        assert headers["x-ratelimit-limit"] == "3"

    async def test_one_policy_for_two_keys_is_listed_once(self, clock: FakeClock) -> None:
        app = limited(clock, [Rule([(PER_CLIENT, by_tenant()), (PER_CLIENT, by_client())])])

        assert (await ask(app, request()))[1]["ratelimit-policy"] == '"default";q=3;w=60'

    async def test_of_two_with_one_name_and_window_the_tightest_is_told(self, clock: FakeClock) -> None:
        app = limited(clock, [Rule([(FixedWindow(100, 60), by_tenant()), (PER_CLIENT, by_client())])])

        assert (await ask(app, request()))[1]["x-ratelimit-limit"] == "3"

    async def test_a_policy_that_found_nobody_is_not_listed(self, clock: FakeClock) -> None:
        keys = FixedWindow(2, 60, name="key")
        app = limited(clock, [Rule([(keys, by_api_key()), (PER_CLIENT, by_client())])])

        assert (await ask(app, request()))[1]["ratelimit-policy"] == '"default";q=3;w=60'

    @pytest.mark.parametrize(
        ("policies", "told"),
        [
            ([FixedWindow(90, 60, name="client")], 0),
            ([TokenBucket(rate=90, per=60, burst=90, name="client")], 0),
            ([FixedWindow(900, 3600, name="client"), FixedWindow(90, 60, name="client")], 1),
            ([FixedWindow(900, 60, name="tenant"), FixedWindow(90, 60, name="client")], 1),
        ],
    )
    async def test_while_a_limiter_counts_alone_the_limit_is_still_the_declared_one(
        self, policies: list[Any], told: int
    ) -> None:
        app = RateLimit(hello, Alone(policies[told]), [Rule([(policy, by_client()) for policy in policies])])

        status, headers, body = await ask(app, request())

        assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("90", "0")
        assert '"client";q=90;w=60' in headers["ratelimit-policy"]
        assert (status, json.loads(body)["limit"]) == (429, 90)
        assert json.loads(body)["detail"].startswith("more than 90 in 60 s")

    async def test_a_limiter_may_decide_by_a_policy_of_its_own(self) -> None:
        app = RateLimit(hello, Alone(FixedWindow(30, 60, name="its-own")), RULES)

        assert (await ask(app, request()))[1]["x-ratelimit-limit"] == "10"

    async def test_a_request_that_is_not_limited_has_no_headers(self, clock: FakeClock) -> None:
        _, headers, _ = await ask(limited(clock), request("/health"))

        assert headers == {"x-own": "1", "ratelimit": "theirs"}


class Alone:
    """Decides by a third of the policy, as in an outage, and admits nothing any more."""

    def __init__(self, policy: Any) -> None:
        self._share = local_share(replace(policy, share=1 / 3, on_outage="local"))

    async def acquire(self, *demands: Any, cost: int = 1) -> Any:
        return Decision(False, self._share, 30, 0, 60.0, 60.0)


class Broken:
    """A limiter that cannot tell."""

    async def acquire(self, *demands: Any, cost: int = 1) -> Any:
        raise LimiterUnavailable("the shared counts cannot be reached", retry_after=0.5)


class TestRefusing:
    async def test_a_limiter_that_cannot_tell_is_answered_with_503(self) -> None:
        status, headers, body = await ask(RateLimit(hello, Broken(), RULES), request())

        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body)["code"] == "rate-limit.unavailable"
        assert "x-ratelimit-limit" not in headers

    async def test_whoever_is_asked_to_refuse_answers_with_the_headers(self, clock: FakeClock) -> None:
        async def refuse(error: CortexError, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 418, "headers": [(b"x-code", error.code.encode())]})
            await send({"type": "http.response.body"})

        app = limited(clock, refuse=refuse)
        for _ in range(3):
            await ask(app, request())

        status, headers, _ = await ask(app, request())

        assert (status, headers["x-code"]) == (418, "rate-limit.exceeded")
        assert headers["ratelimit"] == '"default";r=0;t=60'

    async def test_without_anybody_to_refuse_it_raises_and_leaves_the_headers_in_the_scope(
        self, clock: FakeClock
    ) -> None:
        app = limited(clock, refuse=None)
        for _ in range(3):
            await ask(app, request())
        await clock.advance(0.5)
        scope = request()
        scope["cortex.headers"] = [(b"x-earlier", b"1")]

        with pytest.raises(RateLimited) as raised:
            await ask(app, scope)

        error = raised.value
        assert (error.code, error.kind, error.retry_after) == ("rate-limit.exceeded", Kind.RATE_LIMITED, 60.0)
        assert error.details == {"policy": "default", "limit": 3}
        assert error.retryable
        assert not error.attempted
        assert dict(scope["cortex.headers"])[b"x-earlier"] == b"1"
        assert dict(scope["cortex.headers"])[b"ratelimit"] == b'"default";r=0;t=60'

    async def test_what_the_application_raises_can_be_answered_with_the_headers(self, clock: FakeClock) -> None:
        async def broken(scope: Any, receive: Any, send: Any) -> None:
            raise CortexError("broken")

        scope = request()
        with pytest.raises(CortexError):
            await ask(RateLimit(broken, RateLimiter(clock=clock), RULES), scope)

        assert (b"x-ratelimit-remaining", b"2") in scope["cortex.headers"]

    async def test_a_limiter_that_cannot_tell_is_raised_as_well(self) -> None:
        with pytest.raises(LimiterUnavailable):
            await ask(RateLimit(hello, Broken(), RULES, refuse=None), request())

    async def test_the_lifespan_passes(self, clock: FakeClock) -> None:
        passed: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            passed.append(scope["type"])

        await RateLimit(app, RateLimiter(clock=clock), RULES)({"type": "lifespan"}, hello, hello)  # type: ignore[arg-type]

        assert passed == ["lifespan"]


class TestWebSockets:
    async def test_a_handshake_above_the_limit_is_denied_before_it_is_accepted(self) -> None:
        async def echo(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                for word in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{word}.complete"})
                return
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})

        app = RateLimit(echo, RateLimiter(), [Rule([(FixedWindow(1, 10_000_000.0), by_client())])])
        async with serving(app) as client:
            async with client.ws_connect("/ws") as accepted:
                headers = accepted._response.headers
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect("/ws")

        assert headers["x-ratelimit-remaining"] == "0"
        assert refused.value.status == 429
        assert refused.value.headers is not None
        assert refused.value.headers["ratelimit"].startswith('"default";r=0;t=')
        assert "retry-after" in refused.value.headers

    async def test_a_server_that_cannot_answer_a_handshake_is_told_to_close_it(self, clock: FakeClock) -> None:
        app, sent = limited(clock, [Rule([(FixedWindow(1, 60), by_client())])]), []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        for _ in range(2):
            handshake = {"type": "websocket", "path": "/ws", "client": ("192.0.2.1", 1), "headers": []}
            await app(handshake, receive, send)

        assert sent[-1] == {"type": "websocket.close", "code": 1008, "reason": ""}
