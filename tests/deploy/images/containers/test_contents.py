"""What is in an image, and what is not."""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import IO, Any, cast

import pytest

from scripts.images import contents, sbom
from scripts.images.build import version

pytestmark = pytest.mark.timeout(600)  # an engine that is busy with others is slow
ROOT = Path(__file__).parents[4]
LIMIT = 100_000_000


@pytest.fixture
def members(engine: Any, service: str) -> dict[str, tarfile.TarInfo]:
    name = engine.said("create", engine.image(service))
    engine.started.append(name)
    with (
        subprocess.Popen(["docker", "export", name], stdout=subprocess.PIPE) as exported,
        tarfile.open(fileobj=cast("IO[bytes]", exported.stdout), mode="r|") as archive,
    ):
        return {member.name: member for member in archive}


def test_it_is_small(engine: Any, service: str, members: dict[str, tarfile.TarInfo]) -> None:
    size = int(engine.said("image", "inspect", "-f", "{{.Size}}", engine.image(service)))

    assert size < LIMIT
    assert sum(member.size for member in members.values() if member.isfile()) < LIMIT


def test_there_is_nothing_to_log_into_or_install_with(members: dict[str, tarfile.TarInfo]) -> None:
    programs = {
        name for name, member in members.items()
        if member.isfile() and member.mode & 0o111 and re.search(r"(^|/)(s?bin)/", name) and "site-packages" not in name
    }  # fmt: skip
    names = {name.rpartition("/")[2] for name, member in members.items() if not member.isdir()}

    assert [re.sub(r"\d", "", name) for name in programs] in (["usr/bin/python."], ["usr/local/bin/python."])
    assert not names & {"sh", "bash", "dash", "busybox", "apt", "dpkg", "pip", "pip3", "uv", "curl", "wget", "su"}
    assert [name for name, member in members.items() if member.mode & 0o6000] == []


def test_only_folders_for_data_are_writable(members: dict[str, tarfile.TarInfo]) -> None:
    writable = {name for name, member in members.items() if not member.issym() and member.mode & 0o022}

    assert writable - {"dev/console"} == {"tmp", "var/lib/cortex", "var/lib/cortex/blocks"} | (writable & {"dev/shm"})


def test_there_are_no_tests_and_no_second_forms(members: dict[str, tarfile.TarInfo]) -> None:
    packages = [name for name in members if "site-packages/" in name]
    of_others = [name for name in packages if name.endswith(".py") and "/cortex_" not in name]

    assert of_others == []
    assert [
        name for name in packages if re.search(r"/tests?/|\.pyi$|/cortex_core/testing|/pip/|/setuptools/", name)
    ] == []


NO_LICENCE_FILE: dict[str, str] = {}  # distribution: why there is none; empty, since each has one


def test_every_distribution_has_its_licence(members: dict[str, tarfile.TarInfo], service: str) -> None:
    """The hub's own, too: MIT asks that its notice is in every copy."""
    distributions = {name.split("/")[-2] for name in members if name.endswith(".dist-info/METADATA")}
    licence = re.compile(r"([^/]*\.dist-info)/(?:licenses/.+|[^/]*(?:LICEN[CS]E|COPYING)[^/]*)$")
    licensed = {found[1] for name, it in members.items() if it.size and (found := licence.search(name))}

    assert {name.partition("-")[0] for name in distributions - licensed} == NO_LICENCE_FILE.keys()
    own = sorted(name.partition("-")[0] for name in distributions if name.startswith("cortex_"))
    assert own == sorted(["cortex_contracts", "cortex_core", f"cortex_{service}"])


def test_ours_is_the_one_in_the_tree(engine: Any, service: str) -> None:
    program = f"""
import importlib.metadata, json
print(json.dumps(importlib.metadata.distribution("cortex-{service}").read_text("licenses/LICENSE")))
"""
    assert engine.python(service, program) == (ROOT / "LICENSE").read_text()


_DOCUMENTED = """
import json, pathlib
print(json.dumps([path.parent.name for path in pathlib.Path("/usr/share/doc").glob("*/copyright")]))
"""


@pytest.fixture(scope="module")
def documented() -> set[str]:
    """The packages whose copyright the base image has: all of them in the official one, few in a stand-in."""
    base = os.environ.get("BASE_IMAGE", "python:3.11-slim-bookworm")
    words = ["docker", "run", "--rm", "-i", "--entrypoint", "python3", base, "-"]
    done = subprocess.run(words, input=_DOCUMENTED, check=True, capture_output=True, text=True, timeout=300)
    return set(json.loads(done.stdout))


def test_debians_packages_are_entered_and_licensed(members: dict[str, tarfile.TarInfo], documented: set[str]) -> None:
    entry = re.compile(r"var/lib/dpkg/status\.d/([^/]+)")
    entered = {found[1] for name, it in members.items() if it.isfile() and (found := entry.fullmatch(name))}
    debian = {name for name in entered if not name.endswith(".md5sums")}
    copied = {name.split("/")[-2] for name in members if re.fullmatch(r"usr/share/doc/[^/]+/copyright", name)}

    assert {"libc6", "ca-certificates", "tzdata"} <= debian
    assert {"libc6.md5sums", "tzdata.md5sums"} <= entered
    assert copied == debian & documented


_PLACED = """
import hashlib, json, pathlib
sums = "".join(it.read_text() for it in sorted(pathlib.Path("/var/lib/dpkg/status.d").glob("*.md5sums"))).splitlines()
wrong = [line for line in sums if hashlib.md5(pathlib.Path("/", line[34:]).read_bytes()).hexdigest() != line[:32]]
release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines())
print(json.dumps([release["ID"], release["VERSION_ID"].strip('"').isdigit(), len(sums) > 100, wrong]))
"""


def test_scanners_can_place_what_is_debians(engine: Any, service: str) -> None:
    """Advisories are of a release; the sums are of the files as they lie here."""
    assert engine.python(service, _PLACED) == ["debian", True, True, []]


def test_the_sbom_has_all_that_is_compiled_and_each_python_distribution_has_a_licence(
    engine: Any, service: str, members: dict[str, tarfile.TarInfo]
) -> None:
    lock = sbom.locked((ROOT / "requirements" / f"{service}.lock").read_text())
    document = json.loads(sbom.document(service, contents.read(engine.image(service)), lock))
    parts = [part for each in document["components"] for part in (each, *each.get("components", []))]
    compiled = {f"/{name}" for name, it in members.items() if it.isfile() and re.search(r"\.so(\.[\d.]+)?$", name)}
    python = [part for part in document["components"] if part.get("purl", "").startswith("pkg:pypi/")]

    assert compiled <= {part["name"] for part in parts if part["type"] == "file" and part["hashes"]}
    assert [part["name"] for part in python if not part.get("licenses")] == []
    assert [
        part["name"] for part in python if "cortex-" not in part["name"] and not part.get("externalReferences")
    ] == []
    libc = next(part for part in document["components"] if part["name"] == "libc6")
    assert {"libc.so.6", "libm.so.6"} <= {part["name"].rpartition("/")[2] for part in libc["components"]}
    assert {"libuv", "zlib-ng", "openssl", "serde", "libffi"} <= {part["name"] for part in parts}
    assert [
        part["purl"] for part in parts if re.match(r"pkg:deb/(?!debian/.*distro=debian-\d)", part.get("purl", ""))
    ] == []


def test_javascript_is_on_record_with_its_licence(engine: Any, service: str) -> None:
    program = """
import json, pathlib, sysconfig
records = sorted(pathlib.Path(sysconfig.get_path("purelib")).rglob("vendor.json"))
print(json.dumps([[json.loads(it.read_text())["package"], len(list(it.parent.glob("*.LICENSE")))] for it in records]))
"""
    expected = [["swagger-ui-dist", 1], *([["uplot", 1]] if service == "gateway" else [])]

    assert sorted(engine.python(service, program)) == expected


def test_it_says_what_it_is(engine: Any, service: str) -> None:
    config = json.loads(engine.said("image", "inspect", "-f", "{{json .Config}}", engine.image(service)))
    labels = config["Labels"]

    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", f"cortex_{service}.main"]
    assert config["Healthcheck"]["Test"][:1] == ["CMD"]
    assert labels["org.opencontainers.image.title"] == f"cortex-hub {service}"
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["org.opencontainers.image.version"] == version(service)
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])  # by `make images`
    assert labels.get("org.opencontainers.image.source") != ""
    assert f"{service.upper()}_HOST=0.0.0.0" in config["Env"]
    assert not [each for each in config["Env"] if re.search(r"PASSWORD|SECRET|TOKEN|KEY|PEPPER", each)]


def test_all_stand_on_the_same_layers(engine: Any, services: tuple[str, ...]) -> None:
    asked = ("image", "inspect", "-f", "{{json .RootFS.Layers}}")
    layers = [json.loads(engine.said(*asked, engine.image(service))) for service in services]

    assert len({tuple(each[:2]) for each in layers}) == 1


def test_a_plain_build_says_its_version(engine: Any, service: str) -> None:
    """`docker build` without an argument, as a stranger and Compose do it: out of the cache but for the labels."""
    tag = f"cortex-hub/{service}:plain-{os.getpid()}"
    base = ("--build-arg", f"BASE_IMAGE={os.environ['BASE_IMAGE']}") if "BASE_IMAGE" in os.environ else ()
    engine.said("build", "-q", *base, "--target", service, "-t", tag, str(ROOT))
    try:
        labels = json.loads(engine.said("image", "inspect", "-f", "{{json .Config.Labels}}", tag))
    finally:
        engine.said("image", "rm", tag)

    assert labels["org.opencontainers.image.version"] == version(service)
    assert labels["org.opencontainers.image.revision"] == "unknown"
    assert "org.opencontainers.image.source" not in labels
