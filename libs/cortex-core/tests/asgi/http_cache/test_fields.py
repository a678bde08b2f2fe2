"""What never gets into a store: the headers between two neighbours."""

from typing import Any

import pytest

Site = Any  # conftest.py


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
    ],
)
async def test_a_header_of_one_connection_is_not_stored(site: Site, name: str) -> None:
    site.answers(Cache_Control="max-age=60", **{name.replace("-", "_"): "x"})
    await site.ask()

    assert (await site.ask())[name.lower()] is None
