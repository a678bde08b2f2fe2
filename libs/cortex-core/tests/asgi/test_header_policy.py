"""A policy says only what its headers can say."""

import math
from typing import Any

import pytest

from cortex_core.asgi import CSPBuilder, HeaderPolicy, Hsts


class TestHeaderPolicy:
    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("referrer", "never"),
            ("opener", "other-origin"),
            ("resource", "same"),
            ("embedder", "require"),
            ("frame_options", "ALLOW-FROM a"),
            ("csp", CSPBuilder().img_src("'self'").build(report_only=True)),
            ("csp_report_only", CSPBuilder().img_src("'self'").build()),
            ("permissions", {"Camera": []}),
            ("permissions", {"camera": ["'self'"]}),
            ("permissions", {"camera": ["https://a.example/path"]}),
            ("permissions", {"camera": "self"}),
            ("permissions", {'camera=(), x="': []}),
        ],
    )
    def test_a_value_that_the_header_does_not_have_is_refused(self, argument: str, value: Any) -> None:
        with pytest.raises(ValueError, match=argument):
            HeaderPolicy(**{argument: value})

    def test_a_word_is_no_sequence_of_words(self) -> None:
        with pytest.raises(ValueError, match=r"permissions: camera is for a sequence; write \['\*'\]"):
            HeaderPolicy(permissions={"camera": "*"})

    def test_one_group_of_reports_goes_to_one_address(self) -> None:
        def reporting(url: str, group: str = "csp", *, report_only: bool = False) -> Any:
            return CSPBuilder().img_src("'self'").reports(url, group).build(report_only=report_only)

        with pytest.raises(ValueError, match="csp_report_only: its reports go to /b, those of csp to /a, both as csp"):
            HeaderPolicy(csp=reporting("/a"), csp_report_only=reporting("/b", report_only=True))

        shared = HeaderPolicy(csp=reporting("/a"), csp_report_only=reporting("/a", report_only=True))
        several = HeaderPolicy(csp=reporting("/a"), csp_report_only=reporting("/b", "trial", report_only=True))
        assert shared.headers()[b"reporting-endpoints"] == b'csp="/a"'
        assert several.headers()[b"reporting-endpoints"] == b'csp="/a", trial="/b"'

    @pytest.mark.parametrize("max_age", [-1, 1.5, math.nan, math.inf, "1", True])
    def test_a_time_that_is_no_whole_number_from_0_is_refused(self, max_age: Any) -> None:
        with pytest.raises(ValueError, match="max_age"):
            Hsts(max_age=max_age)

    @pytest.mark.parametrize("hsts", [{"max_age": 31_535_999, "include_subdomains": True}, {}])
    def test_preload_needs_what_the_lists_ask_for(self, hsts: Any) -> None:
        with pytest.raises(ValueError, match="preload"):
            Hsts(**hsts, preload=True)
