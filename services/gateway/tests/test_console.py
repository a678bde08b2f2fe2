"""The console without a browser: what is served at `/`, under which headers, and that its files hold together.

What only a browser can tell is in tests/e2e/console.
"""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cortex_gateway.console.assets import Assets
from cortex_gateway.settings import Settings

ROOT = Path(__file__).parents[3]
HERE = ROOT / "services/gateway/src/cortex_gateway/console"
ASSETS = HERE / "assets"
OURS = sorted(ASSETS.glob("*.js"))
NODE = shutil.which("node")


class Markup(HTMLParser):
    """Every element with its attributes, and what stands inside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem and data.strip():  # inside of a script or a style
            self.inline.append(data)

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(attribute)) is not None]


def static_markup() -> Markup:
    return Markup((HERE / "index.html").read_text())


async def page_of(client: Any) -> tuple[Any, str]:
    async with client.get("/") as reply:
        return reply, await reply.text()


class TestThePage:
    async def test_is_sent_with_a_new_nonce_each_time_and_kept_by_nobody(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            (first, text), (second, _) = [await page_of(client) for _ in range(2)]

        assert (first.status, first.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert first.headers["cache-control"] == "no-store"
        policy = first.headers["content-security-policy"]
        nonce = re.findall(r"'nonce-([0-9a-f]{32})'", policy)[0]
        assert nonce not in second.headers["content-security-policy"]
        scripts = [attributes for tag, attributes in Markup(text).elements if tag == "script"]
        assert scripts and all(each["nonce"] == nonce for each in scripts)

    async def test_names_no_other_host_and_allows_nothing_inline(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            reply, _ = await page_of(client)

        assert reply.headers.getall("content-security-policy") == [reply.headers["content-security-policy"]]
        policy = dict(each.split(" ", 1) for each in reply.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["connect-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in str(policy)
        assert "http" not in str(policy)
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["referrer-policy"] == "no-referrer"

    async def test_answers_head_and_nothing_that_writes(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            async with client.head("/", headers={"Accept-Encoding": "identity"}) as head:
                assert (head.status, await head.read()) == (200, b"")
                assert int(head.headers["content-length"]) > 10_000
            async with client.post("/") as post:
                assert post.status == 405

    async def test_is_reached_by_its_name_too(self, start_gateway: Any) -> None:
        async with start_gateway() as client, client.get("/console", allow_redirects=False) as reply:
            assert (reply.status, reply.headers["location"]) == (308, "./")

    async def test_is_not_in_the_api_document(self, start_gateway: Any) -> None:
        async with start_gateway() as client, client.get("/openapi.json") as reply:
            assert not [path for path in (await reply.json())["paths"] if path == "/" or "console" in path]

    async def test_can_be_left_out(self, start_gateway: Any) -> None:
        async with start_gateway({"console": False}) as client:
            for path in ("/", "/console", f"/{Assets.read().address}/main.js"):
                async with client.get(path) as reply:
                    assert (reply.status, (await reply.json())["code"]) == (404, "route.not-found")


class TestTheDashboards:
    async def test_are_linked_where_they_are_set(self, start_gateway: Any) -> None:
        told = {"grafana_url": "https://grafana.example/d/hub?a=1&b=$nonce'x", "jaeger_url": "http://jaeger:16686"}
        async with start_gateway(told) as client:
            _, text = await page_of(client)

        links = Markup(text).values("href")
        assert {"https://grafana.example/d/hub?a=1&b=$nonce'x", "http://jaeger:16686"} <= set(links)
        assert "Prometheus" not in text

    async def test_leave_no_heading_where_there_are_none(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            _, text = await page_of(client)

        assert "Dashboards" not in text
        assert not re.search(r"\$[a-z]", text)

    @pytest.mark.parametrize("address", ["javascript:alert(1)", "https://a:b@grafana.example", 'http://x/"><script>'])
    def test_are_addresses_of_pages(self, address: str) -> None:
        with pytest.raises(ValueError, match="grafana_url"):
            Settings(env="test", grafana_url=address)


class TestTheFiles:
    async def test_each_that_the_page_names_is_there_for_ever(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            _, text = await page_of(client)
            named = [each for each in [*Markup(text).values("src"), *Markup(text).values("href")] if "assets" in each]
            assert len(named) > 20
            for address in named:
                async with client.get(f"/{address}") as reply:
                    assert reply.status == 200, address
                    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
                    assert reply.headers["x-content-type-options"] == "nosniff"

    async def test_are_compressed_and_revalidated_by_their_tag(self, start_gateway: Any) -> None:
        address = f"/{Assets.read().address}/vendor/uPlot.js"
        async with start_gateway() as client:
            async with client.get(address, headers={"Accept-Encoding": "br"}) as reply:
                assert reply.headers["content-encoding"] == "br"
                assert int(reply.headers["content-length"]) < 60_000
                tag = reply.headers["etag"]
            async with client.get(address, headers={"If-None-Match": tag, "Cache-Control": "no-cache"}) as again:
                assert (again.status, await again.read()) == (304, b"")
            async with client.head(address, headers={"Accept-Encoding": "identity"}) as head:
                assert int(head.headers["content-length"]) == (ASSETS / "vendor/uPlot.js").stat().st_size

    @pytest.mark.parametrize(
        "path", ["nothing.js", "../index.html", "..%2findex.html", "vendor", "vendor/vendor.json", "main.js/"]
    )
    async def test_no_other_name_is_served(self, start_gateway: Any, path: str) -> None:
        async with start_gateway() as client, client.get(f"/{Assets.read().address}/{path}") as reply:
            assert reply.status == 404
            assert reply.headers["content-type"] == "application/problem+json"
            assert "immutable" not in reply.headers.get("cache-control", "")

    async def test_another_version_is_not_served_as_this_one(self, start_gateway: Any) -> None:
        async with start_gateway() as client, client.get("/console/assets/0123456789abcdef/main.js") as reply:
            assert (reply.status, (await reply.json())["code"]) == (404, "console.asset-not-found")

    async def test_cost_nothing_of_a_clients_hundred_nor_does_the_page(self, start_gateway: Any) -> None:
        async with start_gateway({"rate_limit_per_minute": 1}) as client:
            for path in ("/", "/console", f"/{Assets.read().address}/main.js") * 3:
                async with client.get(path) as reply:
                    assert (reply.status, "x-ratelimit-limit" in reply.headers) == (200, False), path
            for expected in (404, 429, 429):
                async with client.get("/api/nothing") as reply:
                    assert reply.status == expected
            assert (await page_of(client))[0].status == 200  # and tells whoever looks, in words

    async def test_that_are_not_there_count_like_any_other_miss(self, start_gateway: Any) -> None:
        async with start_gateway({"rate_limit_per_minute": 1, "console": False}) as client:
            for path, expected in (("/", 404), ("/console", 429), ("/console/assets/0/main.js", 429)):
                async with client.get(path) as reply:
                    assert reply.status == expected, path

    async def test_have_one_label_in_the_metrics(self, start_gateway: Any) -> None:
        async with start_gateway() as client:
            await page_of(client)
            async with client.get("/console/assets/0/nothing") as reply:
                await reply.read()
            async with client.get("/metrics") as reply:
                told = await reply.text()

        assert 'route="/console/assets/{version}/{name}"' in told
        assert 'route="/"' in told


class TestTheMarkup:
    def test_holds_no_script_no_style_no_handler(self) -> None:
        markup = static_markup()

        assert markup.inline == []
        for tag, attributes in markup.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], tag

    def test_has_each_id_once_and_names_only_those_it_has(self) -> None:
        markup = static_markup()
        ids = markup.values("id")

        assert sorted(set(ids)) == sorted(ids)
        for attribute in ("for", "aria-labelledby", "aria-describedby"):
            assert {name for value in markup.values(attribute) for name in value.split()} <= set(ids)

    @pytest.mark.parametrize("module", OURS, ids=lambda path: path.name)
    def test_has_what_the_modules_look_for(self, module: Path) -> None:
        looked_for = set(re.findall(r'\$\("([a-z0-9-]+)"\)', module.read_text()))

        assert looked_for <= set(static_markup().values("id"))

    def test_fields_have_labels(self) -> None:
        labelled = set(static_markup().values("for"))

        for tag, attributes in static_markup().elements:
            if tag in {"input", "select", "textarea", "progress"}:
                assert attributes["id"] in labelled

    def test_loads_nothing_from_elsewhere(self) -> None:
        for path in [HERE / "index.html", *OURS, *ASSETS.glob("*.css"), ASSETS / "vendor/uPlot.css"]:
            found = re.findall(
                r"(?:src|href|url|import|from)\s*[=(]?\s*[\"'(]+(?:https?:)?//[^\"')]+", path.read_text()
            )
            assert found == [], path.name


class TestTheModules:
    SINKS = (
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "createContextualFragment", "setHTML", "srcdoc"),
        *("document.write", "DOMParser", "eval(", "Function(", "javascript:"),
    )

    @pytest.mark.parametrize("module", OURS, ids=lambda path: path.name)
    def test_make_no_markup_of_text(self, module: Path) -> None:
        assert [sink for sink in self.SINKS if sink in module.read_text()] == []

    @pytest.mark.parametrize("module", OURS, ids=lambda path: path.name)
    def test_are_short_and_say_what_they_are(self, module: Path) -> None:
        lines = module.read_text().splitlines()

        assert len(lines) <= 300
        assert lines[0].startswith("// ")

    @pytest.mark.parametrize("module", OURS, ids=lambda path: path.name)
    def test_import_what_there_is(self, module: Path) -> None:
        for names, source in re.findall(r"import (?:\{([^}]*)\}|\w+) from \"\./([^\"]+)\"", module.read_text()):
            text = (ASSETS / source).read_text()
            for name in filter(None, (each.split(" as ")[0].strip() for each in names.split(","))):
                assert re.search(rf"export (?:async )?(?:function|class|const|let) {re.escape(name)}(?!\w)", text), (
                    source,
                    name,
                )

    def test_are_read_by_node_where_it_is_at_hand(self) -> None:
        for module in OURS if NODE else ():
            command = [str(NODE), "--check", "--input-type=module"]
            result = subprocess.run(command, input=module.read_bytes(), capture_output=True, check=False, timeout=60)

            assert result.returncode == 0, result.stderr.decode()


class TestWhatIsOfOthers:
    def test_is_as_its_author_published_it(self) -> None:
        record = json.loads((ASSETS / "vendor/vendor.json").read_text())

        assert (record["package"], record["license"]) == ("uplot", "MIT")
        assert "MIT" in (ASSETS / "vendor/uPlot.LICENSE").read_text()
        for name, digest in record["files"].items():
            assert hashlib.sha256((ASSETS / "vendor" / name).read_bytes()).hexdigest() == digest

    def test_a_changed_file_is_noticed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        spec = importlib.util.spec_from_file_location("vendor", ROOT / "scripts/vendor.py")
        assert spec is not None and spec.loader is not None
        vendor = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(vendor)
        assert vendor.differences() == []

        shutil.copytree(ASSETS / "vendor", tmp_path, dirs_exist_ok=True)
        (tmp_path / "uPlot.js").write_text("another")
        monkeypatch.setattr(vendor, "PLACE", tmp_path)

        assert vendor.differences() == ["uPlot.js"]


class TestTheVersion:
    def test_changes_with_every_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        shutil.copytree(HERE, tmp_path / "console")
        monkeypatch.setattr("cortex_gateway.console.assets.files", lambda _: tmp_path / "console")
        before = Assets.read()
        assert before.version == Assets.read().version

        with (tmp_path / "console/assets/dom.js").open("a") as module:
            module.write("// changed\n")

        assert Assets.read().version != before.version
