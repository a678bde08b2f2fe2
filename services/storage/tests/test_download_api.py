from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession

from cortex_core.ipfs import Cid

Content = Callable[[int], bytes]
CHUNK = 262_144


async def stored(client: ClientSession, data: bytes, **headers: str) -> str:
    async with client.post(
        "/storage/files", data=data, headers={key.replace("_", "-"): value for key, value in headers.items()}
    ) as answer:
        assert answer.status == 201
        return str((await answer.json())["cid"])


async def test_a_file_says_what_it_is_and_that_it_will_not_change(client: ClientSession) -> None:
    cid = await stored(client, b"picture", Content_Type="image/png")

    async with client.get(f"/storage/files/{cid}") as answer:
        assert (answer.status, await answer.read()) == (200, b"picture")
        headers = answer.headers
    async with client.head(f"/storage/files/{cid}") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        own = {"date", "x-request-id"}
        same = [
            {key: value for key, value in each.items() if key.lower() not in own} for each in (headers, answer.headers)
        ]
        assert same[0] == same[1]

    assert headers["ETag"] == f'"{cid}"'
    assert headers["Content-Length"] == "7"
    assert headers["Content-Type"] == "image/png"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"] == f'attachment; filename="{cid}"'
    assert "immutable" in headers["Cache-Control"]
    assert "private" in headers["Cache-Control"]
    assert headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "application/xhtml+xml"])
async def test_what_a_browser_could_run_comes_as_plain_bytes(client: ClientSession, media_type: str) -> None:
    cid = await stored(client, b"<script>", Content_Type=media_type)

    async with client.get(f"/storage/files/{cid}") as answer:
        assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_every_spelling_of_a_cid_is_the_same_file(client: ClientSession, content: Content) -> None:
    cid = await stored(client, content(600_000))
    parsed = Cid.parse(cid)
    spellings = [parsed.encode(base) for base in "bzkf"] + [str(Cid(0, parsed.codec, parsed.digest))]

    for spelling in spellings:
        async with client.head(f"/storage/files/{spelling}") as answer:
            assert (answer.status, answer.headers["ETag"]) == (200, f'"{cid}"')


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("cid", "status", "code"),
    [
        ("no-cid", 400, "cid.invalid"),
        ("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvykv", 400, "cid.invalid"),
        ("b" * 5000, 400, "cid.invalid"),
        ("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", 404, "file.not-found"),
    ],
)
async def test_what_is_no_file_is_a_problem(
    client: ClientSession, method: str, cid: str, status: int, code: str
) -> None:
    async with client.request(method, f"/storage/files/{cid}") as answer:
        assert (answer.status, answer.content_type) == (status, "application/problem+json")
        if method == "GET":
            assert (await answer.json())["code"] == code


@pytest.mark.parametrize("header", ['"{cid}"', 'W/"{cid}"', '"other", "{cid}"', "*"])
async def test_who_has_it_is_not_sent_it_again(client: ClientSession, disk: Any, header: str) -> None:
    cid = await stored(client, b"data")
    disk.lose(b"data")  # shows that nothing is read for it

    async with client.get(f"/storage/files/{cid}", headers={"If-None-Match": header.format(cid=cid)}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["ETag"] == f'"{cid}"'


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=262143-262144", 262_143, 262_145),
        ("bytes=999999-", 999_999, 1_000_000),
        ("bytes=-5", 999_995, 1_000_000),
        ("bytes=500000-99999999", 500_000, 1_000_000),
    ],
)
async def test_a_range_is_sent_alone(
    client: ClientSession, content: Content, header: str, start: int, stop: int
) -> None:
    data = content(1_000_000)
    cid = await stored(client, data)

    async with client.get(f"/storage/files/{cid}", headers={"Range": header}) as answer:
        assert (answer.status, await answer.read()) == (206, data[start:stop])
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1000000"
        assert answer.headers["Content-Length"] == str(stop - start)


async def test_a_range_behind_the_end_is_refused(client: ClientSession) -> None:
    cid = await stored(client, b"data")

    async with client.get(f"/storage/files/{cid}", headers={"Range": "bytes=4-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */4")
        assert (await answer.json())["code"] == "file.range-not-satisfiable"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=0-0,2-3"}, 200),
        ({"Range": "lines=1-2"}, 200),
        ({"Range": "bytes=0-0", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=0-0", "If-Range": '"{cid}"'}, 206),
    ],
)
async def test_a_range_that_need_not_be_honoured_is_the_whole_file(
    client: ClientSession, headers: dict[str, str], status: int
) -> None:
    cid = await stored(client, b"data")

    sent = {key: value.format(cid=cid) for key, value in headers.items()}
    async with client.get(f"/storage/files/{cid}", headers=sent) as answer:
        assert (answer.status, await answer.read()) == (status, b"data" if status == 200 else b"d")


async def test_a_block_gone_bad_is_an_error_and_repaired_by_storing_again(client: ClientSession, disk: Any) -> None:
    cid = await stored(client, b"data")
    disk.rot(b"data")

    async with client.get(f"/storage/files/{cid}") as answer:
        assert (answer.status, (await answer.json())["code"]) == (500, "file.damaged")

    assert await stored(client, b"data") == cid
    async with client.get(f"/storage/files/{cid}") as answer:
        assert (answer.status, await answer.read()) == (200, b"data")


async def test_a_block_lost_is_no_404(client: ClientSession, disk: Any) -> None:
    cid = await stored(client, b"data")
    disk.lose(b"data")

    async with client.get(f"/storage/files/{cid}") as answer:
        assert (answer.status, (await answer.json())["code"]) == (500, "file.damaged")


async def test_damage_further_on_cuts_the_connection(client: ClientSession, disk: Any, content: Content) -> None:
    data = content(4 * CHUNK)
    cid = await stored(client, data)
    disk.rot(data[2 * CHUNK : 3 * CHUNK])

    got = b""
    with pytest.raises(aiohttp.ClientPayloadError):
        async with client.get(f"/storage/files/{cid}") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(data)))
            async for piece in answer.content.iter_any():
                got += piece

    assert got == data[: 2 * CHUNK], "all that was sent is right"


async def test_another_tenants_file_is_not_there(client: ClientSession) -> None:
    cid = await stored(client, b"ours", X_Cortex_Tenant="one")

    for tenant, status in (("one", 200), ("two", 404)):
        async with client.get(f"/storage/files/{cid}", headers={"X-Cortex-Tenant": tenant}) as answer:
            assert answer.status == status
        async with client.get("/storage/files", headers={"X-Cortex-Tenant": tenant}) as answer:
            assert [file["cid"] for file in (await answer.json())["files"]] == ([cid] if tenant == "one" else [])


async def test_the_list_goes_on_where_it_ended(client: ClientSession) -> None:
    cids = [await stored(client, f"file {number}".encode()) for number in range(5)]

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        async with client.get("/storage/files", params={"limit": 2, "cursor": cursor}) as answer:
            page = await answer.json()
        assert len(page["files"]) <= 2
        seen += [file["cid"] for file in page["files"]]
        cursor = page["nextCursor"]

    assert seen == cids[::-1]


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"cursor": "no cursor"}, 400, "file.invalid-cursor"),
        ({"cursor": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}, 400, "file.invalid-cursor"),
        ({"limit": "0"}, 422, "request.invalid"),
        ({"limit": "101"}, 422, "request.invalid"),
        ({"limit": "many"}, 422, "request.invalid"),
    ],
)
async def test_a_list_that_cannot_be_is_a_problem(
    client: ClientSession, params: dict[str, str], status: int, code: str
) -> None:
    async with client.get("/storage/files", params=params) as answer:
        assert (answer.status, (await answer.json())["code"]) == (status, code)
