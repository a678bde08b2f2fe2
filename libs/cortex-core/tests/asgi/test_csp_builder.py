"""A policy says each thing once, in one order, and is strict unless told otherwise."""

import re
from typing import Any

import pytest

from cortex_core.asgi import ContentSecurityPolicy, CSPBuilder, new_nonce
from cortex_core.asgi.csp import DIRECTIVES

HASH = "'sha256-" + "A" * 43 + "='"


def value(builder: CSPBuilder) -> dict[str, str]:
    """What `builder` builds, by directive, with N for the nonce. Each directive is there once."""
    text = builder.build().render(b"N").decode()
    pairs = [directive.partition(" ")[::2] for directive in text.split("; ")]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


class TestDirectives:
    def test_the_plans_use_builds_a_policy(self) -> None:
        policy = (
            CSPBuilder()
            .img_src("'self'", "data:")
            .script_src("'self'")
            .style_src("'self'")
            .default_src("'self'")
            .build()
        )

        assert policy == ContentSecurityPolicy(
            name=b"content-security-policy",
            parts=(
                b"default-src 'self'; script-src 'nonce-",
                b"' 'strict-dynamic' 'self'; style-src 'nonce-",
                b"' 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'",
            ),
        )

    @pytest.mark.parametrize("directive", [name for name in DIRECTIVES if name.endswith(("-src", "-elem", "-attr"))])
    def test_every_fetch_directive_is_a_method(self, directive: str) -> None:
        method = getattr(CSPBuilder(nonces=False), directive.replace("-", "_"))

        assert value(method("'self'", "https://cdn.example"))[directive] == "'self' https://cdn.example"

    @pytest.mark.parametrize("directive", ["base-uri", "form-action", "frame-ancestors"])
    def test_every_other_directive_with_sources_is_a_method(self, directive: str) -> None:
        method = getattr(CSPBuilder(), directive.replace("-", "_"))

        assert value(method("https://a.example")) == {directive: "https://a.example"}

    def test_every_directive_is_a_method(self) -> None:
        assert [name for name in DIRECTIVES if not callable(getattr(CSPBuilder, name.replace("-", "_"), None))] == []

    @pytest.mark.parametrize(
        ("method", "arguments", "written"),
        [
            ("sandbox", (), ""),
            ("sandbox", ("allow-forms", "allow-top-navigation-by-user-activation"), None),
            ("webrtc", ("'block'",), None),
            ("webrtc", ("'allow'",), None),
            ("require_trusted_types_for", ("'script'",), None),
            ("trusted_types", (), ""),
            ("trusted_types", ("'none'",), None),
            ("trusted_types", ("dompurify", "my/policy#1", "'allow-duplicates'"), None),
            ("upgrade_insecure_requests", (), ""),
            ("report_uri", ("/csp-reports", "https://reports.example/csp?a=b"), None),
            ("report_to", ("csp",), None),
        ],
    )
    def test_the_rest_are_methods_too(self, method: str, arguments: tuple[str, ...], written: str | None) -> None:
        built = value(getattr(CSPBuilder(), method)(*arguments))

        assert built == {method.replace("_", "-"): " ".join(arguments) if written is None else written}

    def test_the_order_is_not_that_of_the_calls(self) -> None:
        one = CSPBuilder().default_src("'self'").font_src("'self'").frame_ancestors("'none'").build()
        other = CSPBuilder().frame_ancestors("'none'").font_src("'self'").default_src("'self'").build()

        assert one == other
        names = [part.split()[0] for part in one.render(b"N").decode().split("; ")]
        assert names == sorted(names, key=DIRECTIVES.index)

    def test_a_directive_named_twice_is_written_once_with_the_sources_of_both(self) -> None:
        builder = CSPBuilder().img_src("'self'", "data:").img_src("data:", "https://img.example")

        assert value(builder) == {"img-src": "'self' data: https://img.example"}

    def test_a_built_policy_does_not_change_with_its_builder(self) -> None:
        builder = CSPBuilder().img_src("'self'")
        policy = builder.build()

        builder.img_src("data:")

        assert policy.render() == b"img-src 'self'"
        assert value(builder) == {"img-src": "'self' data:"}

    def test_a_policy_that_says_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one directive"):
            CSPBuilder().build()


class TestStrictness:
    def test_where_only_a_default_is_given_scripts_and_styles_are_written_out(self) -> None:
        assert value(CSPBuilder().default_src("'self'", "'report-sample'")) == {
            "default-src": "'self' 'report-sample'",
            "script-src": "'nonce-N' 'strict-dynamic' 'self' 'report-sample'",
            "style-src": "'nonce-N' 'self' 'report-sample'",
            "object-src": "'none'",
            "base-uri": "'none'",
        }

    def test_a_default_for_scripts_says_nothing_of_styles(self) -> None:
        built = value(CSPBuilder().default_src("'self'", "'strict-dynamic'", "'wasm-unsafe-eval'"))

        assert built["script-src"] == "'nonce-N' 'strict-dynamic' 'self' 'wasm-unsafe-eval'"
        assert built["style-src"] == "'nonce-N' 'self'"

    def test_none_stays_none(self) -> None:
        assert value(CSPBuilder().default_src("'none'").frame_ancestors("'none'")) == {
            "default-src": "'none'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        assert value(CSPBuilder().script_src("'none'"))["script-src"] == "'none'"

    def test_what_rules_no_scripts_is_not_made_to(self) -> None:
        assert value(CSPBuilder().style_src("'self'")) == {"style-src": "'nonce-N' 'self'"}

    def test_what_is_given_is_not_replaced(self) -> None:
        built = value(CSPBuilder().script_src("'self'").object_src("https://a.example").base_uri("'self'"))

        assert (built["object-src"], built["base-uri"]) == ("https://a.example", "'self'")

    @pytest.mark.parametrize(
        ("directive", "strict"),
        [
            ("script_src_elem", "'nonce-N' 'strict-dynamic' 'self'"),
            ("style_src_elem", "'nonce-N' 'self'"),
            ("script_src_attr", "'self'"),
            ("style_src_attr", "'self'"),
            ("worker_src", "'self'"),
        ],
    )
    def test_a_nonce_goes_where_a_browser_looks_for_one(self, directive: str, strict: str) -> None:
        built = value(getattr(CSPBuilder(), directive)("'self'"))

        assert built[directive.replace("_", "-")] == strict

    def test_without_nonces_sources_decide(self) -> None:
        built = value(CSPBuilder(nonces=False).default_src("'self'"))

        assert (built["script-src"], built["style-src"]) == ("'self'", "'self'")

    @pytest.mark.parametrize("hashed", [HASH, "'sha384-" + "a" * 64 + "'", "'sha512-" + "-_" * 43 + "=='"])
    def test_a_hash_is_enough_for_strict_dynamic(self, hashed: str) -> None:
        assert value(CSPBuilder(nonces=False).script_src(hashed))["script-src"] == f"'strict-dynamic' {hashed}"

    def test_scripts_may_be_kept_from_loading_others(self) -> None:
        builder = CSPBuilder(strict_dynamic=False).script_src("'self'")

        assert value(builder)["script-src"] == "'nonce-N' 'self'"

    def test_strict_dynamic_with_nothing_to_begin_with_is_refused(self) -> None:
        builder = CSPBuilder(nonces=False).script_src("'self'", "'strict-dynamic'")

        with pytest.raises(ValueError, match="script-src: 'strict-dynamic' needs a nonce or a hash"):
            builder.build()

    def test_strict_dynamic_asked_for_is_written_once(self) -> None:
        assert value(CSPBuilder(strict_dynamic=False).script_src("'strict-dynamic'"))["script-src"] == (
            "'nonce-N' 'strict-dynamic'"
        )


class TestReports:
    def test_reports_go_where_old_and_new_browsers_look(self) -> None:
        policy = CSPBuilder().img_src("'self'").reports("/csp-reports").build()

        assert policy.render() == b"img-src 'self'; report-uri /csp-reports; report-to csp"
        assert policy.endpoints == (("csp", "/csp-reports"),)

    def test_a_group_that_is_named_elsewhere_brings_no_endpoint(self) -> None:
        builder = CSPBuilder().img_src("'self'").reports("/csp-reports").report_to("default")

        policy = builder.build()

        assert (value(builder)["report-to"], policy.endpoints) == ("default", ())

    def test_report_only_has_its_own_header_and_leaves_out_what_it_cannot_do(self) -> None:
        builder = CSPBuilder().img_src("'self'").sandbox().upgrade_insecure_requests()

        policy = builder.build(report_only=True)

        assert policy.name == b"content-security-policy-report-only"
        assert policy.render() == b"img-src 'self'"
        assert "sandbox" in value(builder)

    def test_report_only_of_what_it_cannot_do_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one directive"):
            CSPBuilder().sandbox().build(report_only=True)


class TestNonces:
    def test_a_policy_with_a_nonce_wants_one(self) -> None:
        policy = CSPBuilder().script_src("'self'").build()

        assert policy.uses_nonce
        with pytest.raises(ValueError, match="nonce"):
            policy.render()

    def test_a_policy_without_needs_none(self) -> None:
        policy = CSPBuilder().img_src("'self'").build()

        assert not policy.uses_nonce
        assert policy.render() == policy.render(b"N") == b"img-src 'self'"

    def test_a_policy_reads_with_the_nonce_left_open(self) -> None:
        assert str(CSPBuilder().style_src("'self'").build()) == "style-src 'nonce-…' 'self'"

    def test_a_nonce_has_128_bits_and_comes_once(self) -> None:
        nonces = {new_nonce() for _ in range(1000)}

        assert len(nonces) == 1000
        assert all(re.fullmatch(r"[0-9a-f]{32}", nonce) for nonce in nonces)

    def test_a_policy_cannot_be_changed(self) -> None:
        policy: Any = CSPBuilder().img_src("'self'").build()

        with pytest.raises(AttributeError):
            policy.parts = (b"default-src *",)
