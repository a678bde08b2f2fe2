import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_storage.api.multipart import FormFile, MalformedForm, NoFileInForm, SeveralFilesInForm

FORM = "multipart/form-data; boundary=frontier"


def part(name: str, data: bytes, filename: str | None = None, content_type: str | None = None) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    disposition += f'; filename="{filename}"' if filename is not None else ""
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"--frontier\r\n{disposition}\r\n{kind}\r\n".encode() + data + b"\r\n"


END = b"--frontier--\r\n"


async def stream(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int = 65_536, content_type: str = FORM) -> tuple[bytes, str | None]:
    form = FormFile(content_type, stream(body, size))
    await form.open()
    return b"".join([data async for data in form]), form.content_type


@given(st.binary(max_size=100), st.integers(1, 40))
async def test_the_file_is_taken_out_however_the_body_is_cut(data: bytes, size: int) -> None:
    body = part("note", b"before") + part("file", data, "a.png", "image/png") + part("note", b"after") + END

    assert await read(body, size) == (data, "image/png")


@pytest.mark.parametrize("data", [b"", b"\r\n", b"--frontier", b"\r\n--frontie", b"\r\n-" * 100, b"\r"])
@pytest.mark.parametrize("size", [1, 7, 65_536])
async def test_what_looks_like_a_boundary_inside_is_the_files(data: bytes, size: int) -> None:
    assert await read(part("file", data, "x") + END, size) == (data, None)


async def test_the_field_may_have_any_name_and_the_headers_any_case() -> None:
    body = b'--frontier\r\nCONTENT-DISPOSITION: form-data; name="x"; filename="f"\r\n'
    body += b"content-TYPE: text/plain\r\n\r\nhi\r\n"

    assert await read(body + END) == (b"hi", "text/plain")


@pytest.mark.parametrize("body", [END, part("note", b"text") + END, part("file", b"", "") + END])
async def test_a_form_without_a_file_is_refused(body: bytes) -> None:
    with pytest.raises(NoFileInForm):
        await read(body)


@pytest.mark.parametrize("size", [1, 65_536])
async def test_a_second_file_is_refused(size: int) -> None:
    with pytest.raises(SeveralFilesInForm):
        await read(part("one", b"1", "one") + part("two", b"2", "two") + END, size)


WHOLE = part("note", b"text") + part("file", b"data", "f") + END


@pytest.mark.parametrize("length", range(len(WHOLE) - 2))
async def test_a_form_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(MalformedForm):
        await read(WHOLE[:length], 10)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", WHOLE),
        ("multipart/form-data; boundary=", WHOLE),
        ("multipart/form-data; boundary=" + "x" * 1000, WHOLE),
        ("multipart/form-data; boundary=other", WHOLE),
        (FORM, b"not a form at all"),
        (FORM, b"--frontier\r\nbad header\r\n\r\n"),
        (FORM, b"--frontier\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(1000)) + b"\r\n"),
        (FORM, b"--frontier\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
    ],
)
async def test_what_is_not_a_form_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(MalformedForm):
        await read(body, content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        part("note", bytes(FormFile.MAX_BESIDE + 1)) + part("file", b"data", "f") + END,
        part("file", b"data", "f") + END + bytes(FormFile.MAX_BESIDE + 1),
    ],
)
async def test_what_is_beside_the_file_is_bounded(body: bytes) -> None:
    with pytest.raises(MalformedForm, match="beside"):
        await read(body)


async def test_the_file_itself_is_not_bounded_here_and_never_held() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield part("file", b"", "f")[:-2]
        for _ in range(512):
            yield bytes(65_536)
        yield b"\r\n" + END

    form = FormFile(FORM, body())
    await form.open()
    tracemalloc.start()
    try:
        size = sum([len(data) async for data in form])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size == 32 * 1024 * 1024
    assert peak < 1024 * 1024
