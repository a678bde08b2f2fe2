"""`Vary`: one address, several answers."""

from typing import Any

import pytest

Site = Any  # conftest.py


@pytest.fixture
def site(site: Site) -> Site:
    site.answers(Cache_Control="max-age=60", Vary="Accept-Language, X-Group")
    return site


async def test_an_answer_is_for_requests_like_the_one_it_was_given_to(site: Site) -> None:
    site.body = b"hallo"
    await site.ask(accept_language="de")
    site.body = b"bonjour"
    french = await site.ask(accept_language="fr")

    assert french["cache-status"] == "cortex; fwd=vary-miss; fwd-status=200; stored"
    assert (await site.ask(accept_language="de")).body == b"hallo"
    assert (await site.ask(accept_language="fr")).body == b"bonjour"
    assert len(site.seen) == 2


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"accept_language": "de,en"}, {"accept_language": "de , en"}, True),
        ({"accept_language": "de,en"}, {"accept_language": "EN, de"}, True),
        ({"accept_language": "de;q=0.5"}, {"accept_language": "de; q=0.5"}, True),
        ({"accept_language": ["de", "en"]}, {"accept_language": "de, en"}, True),
        ({"accept_language": "de"}, {"accept_language": "de;q=0.5"}, False),
        ({"accept_language": "de"}, {}, False),
        ({"accept_language": ""}, {}, False),
        ({"x_group": "a,b"}, {"x_group": "a, b"}, True),
        ({"x_group": "a,b"}, {"x_group": "b,a"}, False),
        ({"x_group": "a"}, {"x_group": "A"}, False),
        ({"x_group": '"a,b"'}, {"x_group": '"a, b"'}, False),
        ({"x_other": "a"}, {"x_other": "b"}, True),
    ],
)
async def test_what_means_the_same_is_the_same(site: Site, first: Any, second: Any, same: bool) -> None:
    await site.ask(**first)
    await site.ask(**second)

    assert (len(site.seen) == 1) is same


async def test_an_answer_that_varies_otherwise_begins_anew(site: Site) -> None:
    await site.ask(accept_language="de")
    site.answers(Cache_Control="max-age=60")
    await site.ask(accept_language="fr")

    assert (await site.ask(accept_language="de"))["cache-status"] == "cortex; hit; ttl=60"
    assert len(site.seen) == 2


async def test_a_variant_is_validated_by_its_own_validator(site: Site) -> None:
    for language in ("de", "fr"):
        site.answers(Cache_Control="max-age=60", Vary="Accept-Language", ETag=f'"{language}"')
        await site.ask(accept_language=language)
    await site.clock.advance(61)
    site.answers(304, b"")

    await site.ask(accept_language="de")

    assert (site.seen[2]["if-none-match"], site.seen[2]["accept-language"]) == ('"de"', "de")


async def test_an_encoding_is_given_to_those_who_asked_for_it(site: Site) -> None:
    site.answers(200, b"\x1f\x8b", Cache_Control="max-age=60", Vary="Accept-Encoding", Content_Encoding="gzip")
    await site.ask(accept_encoding="gzip, br")
    site.answers(200, b"plain", Cache_Control="max-age=60", Vary="Accept-Encoding")
    await site.ask()

    assert (await site.ask(accept_encoding="BR,gzip"))["content-encoding"] == "gzip"
    assert (await site.ask()).body == b"plain"
    assert len(site.seen) == 2


async def test_variants_of_one_address_are_bounded(site: Site) -> None:
    for number in range(100):
        await site.ask(x_group=str(number))

    [key] = site.store._keys.values()
    assert len(key.kept) <= 32
