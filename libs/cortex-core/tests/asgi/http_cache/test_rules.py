"""The rules as tables, after the behaviours that the public cache-tests of http-tests look at."""

import time
from typing import Any

import pytest

from cortex_core.asgi.conditional import EntityTag, entity_tags, format_http_date, http_date
from cortex_core.asgi.http_cache import Answer, CachePolicy, CacheRule
from cortex_core.asgi.http_cache.directives import FOREVER, cache_control
from cortex_core.asgi.http_cache.freshness import age_field, current_age, explicit_lifetime, lifetime

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def answer(age: float = 0.0, delay: float = 0.0, **headers: str | list[str]) -> Answer:
    """Received at NOW, `delay` seconds after it was asked for."""
    raw = [
        (name.lower().replace("_", "-").encode(), each.encode("latin-1"))
        for name, value in headers.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    return Answer(200, raw, b"", requested=NOW - delay, received=NOW)


@pytest.mark.parametrize(
    ("text", "name", "seconds"),
    [
        ("max-age=3600", "max-age", 3600),
        ("MAX-AGE=3600", "max-age", 3600),
        ('max-age="3600"', "max-age", 3600),
        ("max-age='3600'", "max-age", 0),
        ("max-age=003600", "max-age", 3600),
        ("max-age=0", "max-age", 0),
        ("max-age", "max-age", 0),
        ("max-age=", "max-age", 0),
        ('max-age=""', "max-age", 0),
        ("max-age=-1", "max-age", 0),
        ("max-age=+1", "max-age", 0),
        ("max-age=3600.0", "max-age", 0),
        ("max-age=a3600", "max-age", 0),
        ("max-age=3600a", "max-age", 0),
        ("max-age=1_000", "max-age", 0),
        ("max-age=\u0663", "max-age", 0),
        ("max-age =3600", "max-age", 0),
        ("max-age= 3600", "max-age", 0),
        ("max-age=3600 ", "max-age", 3600),
        ('max-age="3600"0', "max-age", 0),
        ("max-age==3600", "max-age", 0),
        ("max-age=2147483648", "max-age", FOREVER),
        ("max-age=2147483649", "max-age", FOREVER),
        ("max-age=99999999999999999999999999", "max-age", FOREVER),
        ("max-age=1, max-age=3600", "max-age", 0),
        ("max-age=3600, max-age=1", "max-age", 0),
        ("max-age=3600, max-age=3600", "max-age", 3600),
        ("max-age=3600, max-age", "max-age", 0),
        ('ext="max-age=100", max-age=1', "max-age", 1),
        ('max-age=1, ext="max-age=100"', "max-age", 1),
        ('ext="a \\" max-age=100", max-age=1', "max-age", 1),
        ('"a, max-age=100"', "max-age", 0),
        (",, max-age=5 ,,", "max-age", 5),
        ("no-cache", "max-age", None),
        ("s-maxage=5, max-age=9", "s-maxage", 5),
        (None, "max-age", None),
        ("", "max-age", None),
    ],
)
def test_a_directives_seconds(text: str | None, name: str, seconds: int | None) -> None:
    assert cache_control(text).seconds(name) == seconds


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("no-store", "no-store"),
        ("No-StOrE", "no-store"),
        ("max-age=1,no-store", "no-store"),
        ("no-store=1", "no-store"),
        ('no-cache="set-cookie, x"', "no-cache"),
        ('private="x"', "private"),
        ('private="x', "private"),
        ('ext="a", private', "private"),
        ("private , max-age=1", "private"),
    ],
)
def test_a_directive_counts_whatever_its_argument(text: str, name: str) -> None:
    assert name in cache_control(text)


def test_directives_show_what_was_found() -> None:
    assert repr(cache_control('a, b="c"')) == "Directives({'a': None, 'b': 'c'})"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Cache_Control": "max-age=60"}, 60),
        ({"Cache_Control": "max-age=60, s-maxage=5"}, 5),
        ({"Cache_Control": ["max-age=60", "s-maxage=5"]}, 5),
        ({"Cache_Control": "s-maxage=x, max-age=60"}, 0),
        ({"Cache_Control": "max-age=60", "Expires": "0"}, 60),
        ({"Cache_Control": "max-age=60", "Expires": format_http_date(NOW - 9).decode()}, 60),
        ({"Expires": format_http_date(NOW + 60).decode(), "Date": DATE}, 60),
        ({"Expires": format_http_date(NOW + 60).decode()}, 60),
        ({"Expires": format_http_date(NOW + 60).decode(), "Date": "foo"}, 60),
        ({"Expires": format_http_date(NOW + 60).decode(), "Date": format_http_date(NOW + 20).decode()}, 40),
        ({"Expires": DATE, "Date": DATE}, 0),
        ({"Expires": format_http_date(NOW - 60).decode(), "Date": DATE}, 0),
        ({"Expires": "0"}, 0),
        ({"Expires": "foo"}, 0),
        ({"Expires": [format_http_date(NOW + 60).decode()] * 2, "Date": DATE}, 0),
        ({"Cache_Control": "public"}, None),
        ({}, None),
    ],
)
def test_the_lifetime_an_answer_names(headers: Any, seconds: float | None) -> None:
    assert explicit_lifetime(answer(**headers).headers, NOW) == seconds


def test_a_lifetime_is_assigned_only_where_none_is_named() -> None:
    assert lifetime(Answer(200, [], b"", NOW, NOW, assigned=7)) == 7
    assert lifetime(Answer(200, [(b"cache-control", b"max-age=0")], b"", NOW, NOW, assigned=7)) == 0


@pytest.mark.parametrize(
    ("given", "delay", "later", "age"),
    [
        ({}, 0, 0, 0),
        ({}, 0, 30, 30),
        ({"Date": DATE}, 0, 30, 30),
        ({"Date": format_http_date(NOW - 10).decode()}, 0, 30, 40),
        ({"Date": format_http_date(NOW + 10).decode()}, 0, 30, 30),
        ({"Age": "7"}, 0, 30, 37),
        ({"Age": "7"}, 2, 30, 39),
        ({"Age": "7", "Date": format_http_date(NOW - 10).decode()}, 2, 30, 40),
        ({"Age": "12", "Date": format_http_date(NOW - 10).decode()}, 2, 30, 44),
        ({}, -5, 30, 30),
        ({}, 0, -30, 0),
    ],
)
def test_the_age_of_an_answer(given: Any, delay: float, later: float, age: float) -> None:
    assert current_age(answer(delay=delay, **given), NOW + later) == age


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("7200", 7200),
        (" 7200 ", 7200),
        ("abc", 0),
        ("-7200", 0),
        ("7200.0", 0),
        ("2147483647", 2147483647),
        ("2147483648", FOREVER),
        ("2147483649", FOREVER),
        ("9" * 5000, FOREVER),
        ("7200, 0", 7200),
        ("0, 7200", 0),
        ("7200;foo=bar", 0),
    ],
)
def test_the_age_field(text: str | None, seconds: int) -> None:
    assert age_field(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        DATE,
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "SUN, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nOV 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        f" {DATE} ",
    ],
)
def test_a_date_in_any_of_its_forms(text: str) -> None:
    assert http_date(text) == NOW
    assert format_http_date(NOW).decode() == DATE


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "0",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 EST",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 06  Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1894 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        f"{DATE}, {DATE}",
    ],
)
def test_what_is_no_date_is_none(text: str | None) -> None:
    assert http_date(text) is None


@pytest.mark.parametrize("years", [-49, -1, 0, 1, 50])
def test_two_digit_years_are_at_most_fifty_years_from_now(years: int) -> None:
    year = time.gmtime().tm_year + years

    assert http_date(f"Friday, 01-Jan-{year % 100:02} 00:00:00 GMT") == http_date(f"Fri, 01 Jan {year} 00:00:00 GMT")


@pytest.mark.parametrize(
    ("day", "exists"), [("31 Feb 2026", 0), ("29 Feb 2026", 0), ("29 Feb 2028", 1), ("31 Apr 2026", 0)]
)
def test_a_day_that_its_month_does_not_have_is_no_date(day: str, exists: bool) -> None:
    assert (http_date(f"Sun, {day} 00:00:00 GMT") is not None) == exists


def test_entity_tags_of_a_list() -> None:
    assert entity_tags('"a", W/"b,c" ,, "\xe4"') == [
        EntityTag('"a"'),
        EntityTag('"b,c"', weak=True),
        EntityTag('"\xe4"'),
    ]
    for none in (None, "", "\n", '"a"\n', '"a" "b"', '"a'):
        assert entity_tags(none) == []


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"name": "a b"}, "name"),
        ({"name": ""}, "name"),
        ({"origin": "site"}, "origin"),
        ({"origin": "https://site/path"}, "origin"),
        ({"max_body": -1}, "max_body"),
        ({"refreshes": -1}, "refreshes"),
        ({"stale_if_error": -1}, "stale_if_error"),
        ({"validation": float("inf")}, "validation"),
        ({"collapse_wait": float("nan")}, "collapse_wait"),
        ({"refresh_timeout": -0.1}, "refresh_timeout"),
        ({"heuristic": 1.1}, "heuristic"),
        ({"heuristic": -0.1}, "heuristic"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(settings: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} "):
        CachePolicy(**settings)


@pytest.mark.parametrize(
    ("settings", "name"), [({"prefix": "a"}, "prefix"), ({"ttl": -1}, "ttl"), ({"ttl": float("nan")}, "ttl")]
)
def test_a_rule_that_makes_no_sense_is_refused(settings: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} "):
        CacheRule(**settings)
