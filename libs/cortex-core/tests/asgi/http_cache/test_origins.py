"""For whom a request is: scheme, host and port, however they are written."""

from typing import Any

import pytest

Site = Any  # conftest.py


@pytest.mark.parametrize("host", ["site:80", "SITE", "Site:", "site"])
async def test_the_default_port_and_letter_case_mean_nothing(site: Site, host: str) -> None:
    await site.ask()

    assert "hit" in (await site.ask(host=host))["cache-status"]
    await site.ask(method="POST", host=host)
    assert "hit" not in (await site.ask())["cache-status"]


@pytest.mark.parametrize("host", ["site:443", "site:8080", "site.", "other"])
async def test_another_port_or_host_is_another_origin(site: Site, host: str) -> None:
    await site.ask()

    assert "hit" not in (await site.ask(host=host))["cache-status"]


@pytest.mark.parametrize("host", [["site", "site"], "a b", "a@site", "site/x", "site:port", "site, other", "\xe4"])
async def test_a_request_that_does_not_say_for_whom_it_is_passes_by(site: Site, host: Any) -> None:
    for _ in range(2):
        assert (await site.ask(host=host))["cache-status"] == "cortex; fwd=bypass; fwd-status=200"
    await site.ask(method="POST", host=host)

    assert len(site.store) == 0


@pytest.mark.parametrize("host", ["[::1]", "[::1]:8080", "10.0.0.1", "a_b.example"])
async def test_addresses_are_hosts(site: Site, host: str) -> None:
    for _ in range(2):
        reply = await site.ask(host=host)

    assert "hit" in reply["cache-status"]


async def test_where_the_policy_names_the_origin_the_host_means_nothing(site: Site) -> None:
    site.build(origin="https://API.example:443")
    await site.ask()

    for host in ("other", "a b"):
        assert "hit" in (await site.ask(host=host))["cache-status"]


@pytest.mark.parametrize("place", ["https://api.example/a", "https://API.example:443/a", "/a"])
@pytest.mark.parametrize("host", ["inside:8080", "a b"])
async def test_a_location_in_the_policys_origin_is_invalidated(site: Site, place: str, host: str) -> None:
    site.build(origin="https://API.example")
    await site.ask("/a")
    site.answers(201, Location=place)
    await site.ask("/b", method="POST", host=host)
    site.answers(Cache_Control="max-age=60")

    assert "hit" not in (await site.ask("/a"))["cache-status"]


async def test_a_location_elsewhere_is_left_alone(site: Site) -> None:
    site.build(origin="https://api.example")
    await site.ask("/a")
    site.answers(201, Location="https://elsewhere.example/a")
    await site.ask("/b", method="POST")

    assert "hit" in (await site.ask("/a"))["cache-status"]
