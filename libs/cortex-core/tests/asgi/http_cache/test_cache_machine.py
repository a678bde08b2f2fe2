"""The cache against a model of what it may say: nothing from before a change is given to who asks after it.

The model is one number an address, the version of the truth. Clients come and go while the application thinks, changes
are made by tag and by method, time passes.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cortex_core.asgi.http_cache import CachePolicy, HttpCache, MemoryCacheStore
from cortex_core.testing import FakeClock, machine_settings

PATHS = st.sampled_from(["/a", "/b"])
FRESH, STALE = 10, 5


@dataclass
class Client:
    """Who asked, and what the truth was then."""

    task: "asyncio.Task[bytes]"
    path: str
    least: int


class CacheMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.truth = {"/a": 0, "/b": 0}
        self.changed = {"/a": 0, "/b": 0}
        self.gate = asyncio.Event()
        self.gate.set()
        self.clients: list[Client] = []
        self.private = False
        self.inside = 0
        store = MemoryCacheStore(clock=self.clock)
        self.cache = HttpCache(self.app, store=store, policy=CachePolicy(collapse_wait=3), clock=self.clock)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if scope["method"] == "GET":
            says, version = self.private, self.truth[path]
            self.inside += 1
            try:
                await self.gate.wait()
            finally:
                self.inside -= 1
        else:
            says, version = True, self.change(path)
        control = b"private" if says else b"max-age=%d, stale-while-revalidate=%d" % (FRESH, STALE)
        headers = [(b"cache-control", control), (b"cache-tag", path.encode()), (b"etag", b'"%d"' % version)]
        status = 304 if (b"if-none-match", b'"%d"' % version) in scope["headers"] else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if status == 304 else b"%d" % version})

    def change(self, path: str) -> int:
        self.truth[path] += 1
        return self.truth[path]

    async def ask(self, path: str, method: str, wish: str | None) -> bytes:
        body = b""

        async def send(message: Any) -> None:
            nonlocal body
            body += message.get("body", b"")

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        headers = [(b"host", b"site"), *([(b"cache-control", wish.encode())] if wish else [])]
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
        await self.cache(scope, receive, send)
        return body

    def turn(self, work: Any = None) -> Any:
        async def turning() -> Any:
            result = await work if work is not None else None
            for _ in range(30):
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(turning())

    @rule(path=PATHS, count=st.integers(1, 4), wish=st.sampled_from([None, None, None, "no-cache"]))
    def clients_come(self, path: str, count: int, wish: str | None) -> None:
        for _ in range(count):
            least = self.truth[path] if wish else self.changed[path]
            task = self.loop.create_task(self.ask(path, "GET", wish))
            self.clients.append(Client(task, path, least))
        self.turn()

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def a_client_leaves(self, data: Any) -> None:
        client = self.clients.pop(data.draw(st.integers(0, len(self.clients) - 1)))
        client.task.cancel()
        self.turn()

    @rule(path=PATHS)
    def the_truth_changes_by_an_unsafe_method(self, path: str) -> None:
        self.turn(self.ask(path, "POST", None))
        self.changed[path] = self.truth[path]

    @rule(path=PATHS)
    def the_truth_changes_and_an_event_invalidates_its_tag(self, path: str) -> None:
        self.change(path)
        self.turn(self.cache.invalidate([path]))
        self.changed[path] = self.truth[path]

    @rule(path=PATHS)
    def the_truth_changes_and_nobody_says_so(self, path: str) -> None:
        self.change(path)

    @rule()
    def the_application_becomes_slow(self) -> None:
        self.gate.clear()

    @rule()
    def the_application_answers(self) -> None:
        self.gate.set()
        self.turn()

    @rule(private=st.booleans())
    def the_application_changes_its_mind_about_sharing(self, private: bool) -> None:
        self.private = private

    @rule(seconds=st.sampled_from([1, 4, 11, 30]))
    def time_passes(self, seconds: int) -> None:
        self.turn(self.clock.advance(seconds))

    @invariant()
    def nobody_was_told_anything_older_than_the_change_before_he_asked(self) -> None:
        for client in [each for each in self.clients if each.task.done()]:
            assert int(client.task.result()) >= client.least
            self.clients.remove(client)
        if self.gate.is_set():  # an open application keeps nobody waiting
            assert (self.clients, self.inside) == ([], 0)

    def teardown(self) -> None:
        self.gate.set()
        for client in self.clients:
            client.task.cancel()
        self.turn(self.cache.aclose())
        assert not self.cache._flights._tasks
        assert self.cache._flights._refreshing == 0
        self.loop.close()


TestCache = pytest.mark.machine(CacheMachine.TestCase)
TestCache.settings = machine_settings()
