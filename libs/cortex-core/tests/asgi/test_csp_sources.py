"""What may stand in a directive: the grammar's words, and of those not the ones that undo a policy."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import CSPBuilder


def value(builder: CSPBuilder) -> dict[str, str]:
    """What `builder` builds, by directive, with N for the nonce."""
    text = builder.build().render(b"N").decode()
    return dict(directive.partition(" ")[::2] for directive in text.split("; "))


class TestUnsafe:
    @pytest.mark.parametrize("source", ["'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'"])
    def test_what_lets_injected_code_run_is_refused(self, source: str) -> None:
        with pytest.raises(ValueError, match="allow_unsafe=True"):
            CSPBuilder().script_src("'self'", source)

    @pytest.mark.parametrize(
        "directive",
        [
            *("default_src", "script_src", "script_src_elem", "worker_src", "child_src"),
            *("object_src", "base_uri"),
        ],
    )
    @pytest.mark.parametrize("source", ["*", "data:", "https:", "HTTP:", "blob:", "https://*", "*:443", "http://*/a"])
    def test_code_from_anywhere_is_refused(self, directive: str, source: str) -> None:
        with pytest.raises(ValueError, match=re.escape(source)):
            getattr(CSPBuilder(), directive)(source)

    def test_pictures_from_anywhere_are_not(self) -> None:
        assert value(CSPBuilder().img_src("*", "data:", "blob:")) == {"img-src": "* data: blob:"}

    def test_hosts_below_one_are_not_anywhere(self) -> None:
        assert "https://*.example" in value(CSPBuilder().script_src("https://*.example"))["script-src"]

    def test_whoever_must_can(self) -> None:
        built = value(CSPBuilder(allow_unsafe=True).script_src("'unsafe-eval'", "https:").style_src("'unsafe-inline'"))

        assert built["script-src"] == "'nonce-N' 'strict-dynamic' 'unsafe-eval' https:"
        assert built["style-src"] == "'unsafe-inline'"  # with a nonce beside it, a browser would not listen


class TestSources:
    @pytest.mark.parametrize(
        "source",
        ["https:", "data:", "*", "a.example", "*.a.example", "https://a.example:8443/js/", "wss://a.example:*",
         "localhost:3000", "http://127.0.0.1:8000", "a_b.example.", "https://a.example/a%3Bb", "custom+scheme:"],
    )  # fmt: skip
    def test_a_source_of_the_grammar_is_taken(self, source: str) -> None:
        assert value(CSPBuilder().connect_src(source)) == {"connect-src": source}

    @pytest.mark.parametrize(
        "source",
        ["", " ", "a;b", "a,b", "a\nb", "a b", "\0", "ä.example", "a.example/?q=1", "a.example/#f", "://a",
         "a.example/a,b", "a.example/a;b",
         "a.example:port", "https://", "a..b", "*.*.a", "*a.example", '"self"', "a.example/'self'"],
    )  # fmt: skip
    def test_anything_else_is_refused(self, source: str) -> None:
        with pytest.raises(ValueError, match="connect-src"):
            CSPBuilder().connect_src(source)

    @pytest.mark.parametrize("keyword", ["self", "none", "SELF", "unsafe-inline", "strict-dynamic", "nonce-abc"])
    def test_a_keyword_without_quotes_would_be_a_host(self, keyword: str) -> None:
        with pytest.raises(ValueError, match=re.escape(f"write \"'{keyword}'\"")):
            CSPBuilder().script_src(keyword)

    @pytest.mark.parametrize(
        "source",
        ["'", "''", "'self", "'sefl'", "'SELF'", "'sha256-abc'", "'sha256-" + "A" * 44 + "'", "'md5-AAAA'",
         "'sha384-" + "A" * 43 + "='", "'sha256-" + "A" * 42 + "=='", "'sha256-" + "A" * 45 + "'"],
    )  # fmt: skip
    def test_a_quoted_word_that_is_none_is_refused(self, source: str) -> None:
        with pytest.raises(ValueError, match="no keyword and no hash"):
            CSPBuilder().script_src(source)

    def test_a_nonce_written_down_is_none(self) -> None:
        with pytest.raises(ValueError, match="a nonce written down is none"):
            CSPBuilder().script_src("'nonce-abc'")

    @pytest.mark.parametrize("source", ["'strict-dynamic'", "'unsafe-inline'", "'report-sample'"])
    def test_a_keyword_where_it_means_nothing_is_refused(self, source: str) -> None:
        with pytest.raises(ValueError, match=r"img-src: .* scripts and styles only"):
            CSPBuilder(allow_unsafe=True).img_src(source)

    @pytest.mark.parametrize("source", ["'strict-dynamic'", "'unsafe-eval'", "'wasm-unsafe-eval'"])
    def test_a_style_is_not_a_script(self, source: str) -> None:
        with pytest.raises(ValueError, match=r"style-src: .* scripts only"):
            CSPBuilder(allow_unsafe=True).style_src(source)

    @pytest.mark.parametrize("later", [True, False])
    def test_none_stands_alone(self, later: bool) -> None:
        builder = CSPBuilder().img_src("'none'") if later else CSPBuilder()

        with pytest.raises(ValueError, match="img-src: 'none' stands alone"):
            builder.img_src("'self'") if later else builder.img_src("'none'", "'self'")

        assert (
            builder.connect_src("'self'").build().render().startswith(b"img-src 'none'; " if later else b"connect-src")
        )

    @pytest.mark.parametrize("directive", ["default_src", "img_src", "frame_ancestors", "report_uri"])
    def test_no_source_is_not_none(self, directive: str) -> None:
        with pytest.raises(ValueError, match="at least one"):
            getattr(CSPBuilder(), directive)()

    @pytest.mark.parametrize(
        ("method", "argument"),
        [
            ("sandbox", "scripts"),
            ("sandbox", "allow-script"),
            ("sandbox", "allow-scripts; default-src *"),
            ("webrtc", "block"),
            ("require_trusted_types_for", "script"),
            ("trusted_types", "a b"),
            ("trusted_types", "a;b"),
            ("report_uri", "csp"),
            ("report_uri", "//a.example"),
            ("report_uri", "/a;b"),
            ("report_uri", 'https://a.example/"'),
            ("report_to", "a b"),
            ("report_to", "CSP"),
            ("reports", "javascript:alert(1)"),
        ],
    )
    def test_the_other_directives_check_theirs(self, method: str, argument: str) -> None:
        with pytest.raises(ValueError, match=method if method != "reports" else "report_uri"):
            getattr(CSPBuilder(), method)(argument)

    def test_where_reports_go_is_checked_where_they_are_named(self) -> None:
        with pytest.raises(ValueError, match="report_to"):
            CSPBuilder().report_to("csp", "nowhere")

    def test_none_is_no_name_among_others(self) -> None:
        with pytest.raises(ValueError, match="trusted-types: 'none' stands alone"):
            CSPBuilder().trusted_types("a", "'none'")

    @given(directive=st.sampled_from(["script_src", "img_src", "frame_ancestors"]), source=st.text(max_size=40))
    def test_whatever_is_taken_stays_inside_its_directive(self, directive: str, source: str) -> None:
        try:
            policy = getattr(CSPBuilder(allow_unsafe=True), directive)(source).build()
        except ValueError:
            return

        rendered = policy.render(b"N").decode("ascii")
        assert f" {source}" in rendered
        assert rendered.count(";") == (2 if directive == "script_src" else 0)
        assert "," not in rendered
