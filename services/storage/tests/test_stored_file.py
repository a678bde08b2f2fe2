from datetime import UTC, datetime

import pytest

from cortex_core.ipfs import RAW, Cid
from cortex_storage.domain import StoredFile, media_type_of


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("image/png", "image/png"),
        ("Text/Plain; charset=utf-8", "text/plain"),
        ("application/vnd.api+json", "application/vnd.api+json"),
        (None, None),
        ("", None),
        ("application/octet-stream", None),
        ("application/x-www-form-urlencoded", None),
        ("png", None),
        ("image/", None),
        ("image/png\r\nX: y", None),
        ("i" * 65 + "/png", None),
        ("ímage/png", None),
    ],
)
def test_a_content_type_says_what_a_file_is_or_nothing(header: str | None, expected: str | None) -> None:
    assert media_type_of(header) == expected


@pytest.mark.parametrize(
    ("media_type", "served_as"),
    [
        ("image/png", "image/png"),
        ("text/plain", "text/plain"),
        ("video/mp4", "video/mp4"),
        ("application/pdf", "application/pdf"),
        (None, "application/octet-stream"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("application/xhtml+xml", "application/octet-stream"),
        ("text/javascript", "application/octet-stream"),
    ],
)
def test_what_a_browser_could_run_goes_out_as_plain_bytes(media_type: str | None, served_as: str) -> None:
    file = StoredFile(Cid.of(RAW, b"x"), 1, media_type, datetime(2026, 11, 23, tzinfo=UTC))

    assert file.served_as == served_as
