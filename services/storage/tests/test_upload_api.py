import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
from aiohttp import ClientSession, FormData

from cortex_core.testing import eventually

Content = Callable[[int], bytes]
Requests = Callable[[str, str], Awaitable[float]]
MAX_BYTES = 64 * 1024 * 1024

# Of libs/cortex-core/tests/ipfs/cid_vectors.json: what Kubo 0.43.1 and ipfs-unixfs-importer 17.1.1 say.
KUBO_CIDS = [
    (0, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
    (1, "bafkreie556yktylde6f6byc2uantclwhrt5dojugsubtqxtw4oslpfigja"),
    (262_144, "bafkreihulmbo6ctotu4etgioq2jzqmpbree5gv5tax7azifxcbo5yghbhu"),
    (262_145, "bafybeichmhfwyp57clxf4agzlh7dztw47qmstqgpmyvsyzdn64g5cb5oda"),
    (60_000_000, "bafybeiba36oyxo3ek4yww45pmo6gdgzkvcoknga7efyxdxzkaqkd3icfrq"),
]


async def streamed(data: bytes) -> AsyncIterator[bytes]:
    """As a body without a declared length."""
    for start in range(0, len(data), 65_536):
        yield data[start : start + 65_536]


def form(data: bytes, *, filename: str = "a.bin", content_type: str | None = None) -> FormData:
    fields = FormData()
    fields.add_field("note", "beside the file")
    fields.add_field("file", data, filename=filename, content_type=content_type)
    return fields


async def listed(client: ClientSession) -> list[dict[str, Any]]:
    async with client.get("/storage/files") as answer:
        files: list[dict[str, Any]] = (await answer.json())["files"]
        return files


async def test_no_body_at_all_is_an_empty_file(client: ClientSession) -> None:
    async with client.post("/storage/files") as answer:
        assert (answer.status, await answer.json()) == (201, {"cid": KUBO_CIDS[0][1], "size": 0})


@pytest.mark.parametrize(("size", "cid"), KUBO_CIDS)
async def test_a_file_gets_kubos_cid_and_comes_back(
    client: ClientSession, content: Content, size: int, cid: str
) -> None:
    data = content(size)

    async with client.post("/storage/files", data=streamed(data)) as answer:
        assert (answer.status, await answer.json()) == (201, {"cid": cid, "size": size})
        assert (answer.headers["Location"], answer.headers["ETag"]) == (f"files/{cid}", f'"{cid}"')
        location = urljoin(str(answer.url), answer.headers["Location"])

    async with client.get(location) as answer:
        assert answer.headers["Content-Length"] == str(size)
        assert await answer.read() == data


@pytest.mark.parametrize("size", [0, 1, 262_145, 1_000_000])
async def test_a_form_and_a_raw_body_are_the_same_file(client: ClientSession, content: Content, size: int) -> None:
    async with (
        client.post("/storage/files", data=content(size)) as raw,
        client.post("/storage/files", data=form(content(size))) as formed,
    ):
        assert (raw.status, formed.status) == (201, 201)
        assert await raw.json() == await formed.json()


async def test_storing_again_is_no_news(client: ClientSession, bus: Any) -> None:
    for _ in range(3):
        async with client.post("/storage/files", data=b"again") as answer:
            assert answer.status == 201
    async with client.post("/storage/files", data=b"the next"):
        pass

    await eventually(lambda: len(bus.published) >= 2)
    assert [event.data["size"] for event in bus.published] == [5, 8]
    assert [file["size"] for file in await listed(client)] == [8, 5]


async def test_many_at_once_are_one_file(client: ClientSession, bus: Any, content: Content) -> None:
    async def upload() -> int:
        async with client.post("/storage/files", data=content(1_000_000)) as answer:
            return answer.status

    assert await asyncio.gather(*(upload() for _ in range(8))) == [201] * 8
    assert len(await listed(client)) == 1


async def test_the_bus_hears_of_a_file(client: ClientSession, bus: Any) -> None:
    headers = {"Content-Type": "Image/PNG", "X-Cortex-Tenant": "acme"}
    async with client.post("/storage/files", data=b"picture", headers=headers) as answer:
        cid = (await answer.json())["cid"]

    event = (await eventually(lambda: bus.published))[0]
    assert (event.type, event.subject, event.tenant, event.version) == ("file.stored", cid, "acme", 1)
    assert event.data == {"cid": cid, "size": 7, "mediaType": "image/png"}
    assert event.traceparent is not None


@pytest.mark.parametrize("upload", ["raw", "form"])
async def test_what_the_uploader_calls_it_is_listed(client: ClientSession, upload: str) -> None:
    data: Any = b"picture" if upload == "raw" else form(b"picture", content_type="image/png")
    headers = {"Content-Type": "image/png"} if upload == "raw" else {}
    async with client.post("/storage/files", data=data, headers=headers) as answer:
        cid = (await answer.json())["cid"]

    (file,) = await listed(client)
    assert (file["cid"], file["size"], file["mediaType"]) == (cid, 7, "image/png")
    assert file["createdAt"].endswith("Z")


async def test_a_file_too_large_by_its_own_account_is_refused_before_it_is_sent(client: ClientSession) -> None:
    url = client._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"POST /storage/files HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {1 << 40}\r\n\r\n".encode())

    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    problem = json.loads(await reader.readuntil(b"}"))
    writer.close()

    assert head.startswith(b"HTTP/1.1 413 ")
    assert (problem["code"], problem["limit"]) == ("file.too-large", MAX_BYTES)
    assert await listed(client) == []


async def test_a_file_that_turns_out_too_large_is_refused(client: ClientSession, requests: Requests, bus: Any) -> None:
    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(MAX_BYTES // 65_536 + 1):
            yield bytes(65_536)

    try:
        async with client.post("/storage/files", data=zeros()) as answer:
            assert (answer.status, (await answer.json())["code"]) == (413, "file.too-large")
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
        pass  # the answer may come while the client still sends, and get lost with the connection

    assert await eventually(lambda: requests("POST", "413")) == 1
    assert await listed(client) == []
    assert bus.published == []


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n", "; boundary=x", 422, "upload.no-file"),
        (b"--x--\r\n", "; boundary=x", 422, "upload.no-file"),
        (b"", "; boundary=x", 400, "upload.malformed-form"),
        (b"no form", "; boundary=x", 400, "upload.malformed-form"),
        (b"no form", "", 400, "upload.malformed-form"),
        (
            b"--x\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\n1\r\n" * 2 + b"--x--\r\n",
            "; boundary=x",
            422,
            "upload.several-files",
        ),
        (
            b"--x\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\ncut off",
            "; boundary=x",
            400,
            "upload.malformed-form",
        ),
    ],
)
async def test_a_form_that_is_none_stores_nothing(
    client: ClientSession, bus: Any, body: bytes, content_type: str, status: int, code: str
) -> None:
    headers = {"Content-Type": f"multipart/form-data{content_type}"}
    async with client.post("/storage/files", data=body, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (status, "application/problem+json")
        assert (await answer.json())["code"] == code

    assert await listed(client) == []
    assert bus.published == []


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 2000000\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 2000000\r\nContent-Type: multipart/form-data; boundary=x\r\n",
    ],
)
async def test_a_client_that_leaves_in_the_middle_leaves_nothing_half_done(
    client: ClientSession, requests: Requests, disk: Any, content: Content, head: str
) -> None:
    url = client._base_url
    assert url is not None
    data = content(1_000_000)
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"POST /storage/files HTTP/1.1\r\nHost: {url.host}\r\n{head}\r\n".encode())
    if "chunked" in head:
        writer.write(f"{len(data):x}\r\n".encode())
    elif "multipart" in head:
        writer.write(b"--x\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\n")
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert await eventually(lambda: requests("POST", "400")) == 1
    assert await listed(client) == []
    assert all(path.parent.name != "tmp" for path in disk.files())


async def test_a_full_disk_acknowledges_nothing_and_heals(client: ClientSession, disk: Any, bus: Any) -> None:
    disk.full = True
    async with client.post("/storage/files", data=b"data") as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "storage.unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    assert await listed(client) == []
    assert bus.published == []

    disk.full = False
    async with client.post("/storage/files", data=b"data") as answer:
        assert answer.status == 201


async def test_what_is_acknowledged_is_on_the_disk(client: ClientSession, disk: Any, content: Content) -> None:
    data = content(1_000_000)

    async with client.post("/storage/files", data=data) as answer:
        assert answer.status == 201
        assert all(disk.holds(data[start : start + 262_144]) for start in range(0, len(data), 262_144))
