"""Under the real server, with clients that are not ours."""

import asyncio
import random
import shutil
import zlib
from typing import Any

import aiohttp
import brotli
import pytest
import zstandard

from cortex_core.asgi import Compression
from cortex_core.testing import eventually, serving

TEXT = b'{"orderId":"ord_1","status":"completed"},' * 5_000
DECODED = {
    "gzip": lambda data: zlib.decompress(data, 31),
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


class Application:
    """`/whole` in one message, `/stream` in several, `/broken` fails in the middle, `/endless` never ends."""

    def __init__(self) -> None:
        self.chunks = 0
        self.gone = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": f"{(await receive())['type']}.complete"})
            return None
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        if scope["path"] == "/whole":
            return await send({"type": "http.response.body", "body": TEXT})
        if scope["path"] == "/endless":
            return await self.endless(receive, send)
        for at in range(0, len(TEXT), 70_000):
            await send({"type": "http.response.body", "body": TEXT[at : at + 70_000], "more_body": True})
        if scope["path"] == "/broken":
            raise ValueError("in the middle")
        await send({"type": "http.response.body"})

    async def endless(self, receive: Any, send: Any) -> None:
        noise = random.Random(1)  # always new: what came within a codec's window is sent as a reference
        await receive()
        leaving = asyncio.ensure_future(receive())
        while not leaving.done():
            await send({"type": "http.response.body", "body": noise.randbytes(512 * 1024), "more_body": True})
            self.chunks += 1
            await asyncio.sleep(0)
        self.gone = True


@pytest.mark.parametrize("path", ["/whole", "/stream"])
@pytest.mark.parametrize("coding", DECODED)
async def test_a_client_decodes_what_it_asked_for(path: str, coding: str) -> None:
    async with serving(Compression(Application())) as client:
        headers = {"Accept-Encoding": coding}
        async with aiohttp.ClientSession(client._base_url, auto_decompress=False) as raw:
            async with raw.get(path, headers=headers) as answer:
                body = await answer.read()
            async with raw.head(path, headers=headers) as head:
                assert await head.read() == b""

    assert DECODED[coding](body) == TEXT
    assert answer.headers["Content-Encoding"] == head.headers["Content-Encoding"] == coding


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("path", ["whole", "stream"])
@pytest.mark.parametrize("accept", [None, "gzip", "deflate", "br", "zstd"])
async def test_curl_decodes_it(path: str, accept: str | None) -> None:
    async with serving(Compression(Application())) as client:
        extra = [] if accept is None else ["-H", f"Accept-Encoding: {accept}"]
        command = ["curl", "-sS", "--compressed", *extra, f"{client._base_url}/{path}"]
        curl = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        body, complaint = await curl.communicate()

    if curl.returncode == 61:
        pytest.skip(f"this curl does not know {accept}: {complaint.decode()}")
    assert (curl.returncode, body) == (0, TEXT)


async def test_an_error_in_the_middle_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Compression(Application())) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with client.get("/broken", headers={"Accept-Encoding": "gzip"}) as answer:
                await answer.read()

    assert "in the middle" in caplog.text


@pytest.mark.parametrize("coding", DECODED)
async def test_who_does_not_read_is_not_written_for(coding: str) -> None:
    application = Application()
    async with serving(Compression(application)) as client:
        port = client._base_url.port  # type: ignore[union-attr]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /endless HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
        writer.transport.pause_reading()
        await eventually(lambda: application.chunks)

        async def stands_still() -> bool:
            before = application.chunks
            await asyncio.sleep(0.05)
            return application.chunks == before

        await eventually(stands_still)
        assert application.chunks < 40  # 20 MiB: what two sockets hold, and one chunk

        writer.transport.abort()
        await eventually(lambda: application.gone)
