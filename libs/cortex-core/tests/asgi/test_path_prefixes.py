"""Which rule a path falls under."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi.prefixes import Prefixes

RULES = Prefixes({"/": "root", "/orders": "orders", "/orders/archive/": "archive", "/files/": "file"}, "elsewhere")


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/orders", "orders"),
        ("/orders/", "orders"),
        ("/orders/1", "orders"),
        ("/ordersX", "root"),
        ("/orders/archive", "orders"),
        ("/orders/archive/", "archive"),
        ("/orders/archive/1", "archive"),
        ("/files", "root"),
        ("/files/", "file"),
        ("/files/a/b", "file"),
        ("/", "root"),
        ("", "elsewhere"),
        ("*", "elsewhere"),
    ],
)
def test_the_longest_prefix_of_whole_segments_decides(path: str, rule: str) -> None:
    assert RULES.of(path) == rule


def test_without_rules_the_default_holds() -> None:
    assert Prefixes({}, 7).of("/anything") == 7


def test_a_rule_for_everything_leaves_the_default_to_what_is_no_path() -> None:
    assert Prefixes({"/": 1}, 0).of("/a") == 1


@pytest.mark.parametrize("prefix", ["", "orders", "http://a/orders"])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="begins with '/'"):
        Prefixes({prefix: 1}, 0)


@given(path=st.text(max_size=60))
def test_no_path_raises_and_one_with_a_rules_name_in_front_is_below_it(path: str) -> None:
    RULES.of(path)

    assert RULES.of(f"/files/{path}") == "file"
