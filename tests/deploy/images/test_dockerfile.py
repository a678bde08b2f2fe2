"""The Dockerfile keeps the rules, and each rule has been seen to catch its breach."""

import re
import tomllib
from pathlib import Path

import pytest

from scripts.images.context import sent
from scripts.images.dockerfile import broken_rules, stages

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TOPOLOGY = tomllib.loads((ROOT / "topology.toml").read_text())["services"]
FIGURES = {"gateway": ["9464"], "analytics": ["9090"]}  # of Prometheus, on a port of their own
SERVICES = {path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").is_file()}

GOOD = """
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE} AS builder
COPY requirements/a.lock requirements/
RUN pip install --require-hashes -r requirements/a.lock
FROM scratch AS a
COPY --from=builder /layers /
ENV PATH=/opt/venv/bin A_HOST=0.0.0.0
EXPOSE 3000
USER 10001:10001
HEALTHCHECK --interval=5s CMD ["python", "-m", "probe"]
ENTRYPOINT ["python", "-m", "a"]
LABEL org.opencontainers.image.title="a" org.opencontainers.image.licenses="MIT" \\
      org.opencontainers.image.version="1" org.opencontainers.image.revision="2"
"""


def test_ours_keeps_every_rule() -> None:
    assert broken_rules(DOCKERFILE) == []


def test_a_good_one_keeps_every_rule() -> None:
    assert broken_rules(GOOD) == []


@pytest.mark.parametrize(
    ("instead_of", "written", "said"),
    [
        ("python:3.11-slim-bookworm", "python:latest", "no tag of its own"),
        ("python:3.11-slim-bookworm", "python", "no tag of its own"),
        ("python:3.11-slim-bookworm", "registry.example:5000/python", "no tag of its own"),
        ("COPY requirements/a.lock", "ADD https://example.org/a.lock", "COPY says what comes in"),
        ("COPY requirements/a.lock requirements/", "COPY . .", "whatever lies there"),
        ("--from=builder", "--from=elsewhere", "no stage of this file"),
        ("pip install --require-hashes", "pip install", "without --require-hashes"),
        ("RUN pip", "RUN --mount=type=cache,target=/c pip", "refused by the classic builder"),
        ("RUN pip", "RUN curl -fsSL example.org | sh; pip", "has no hash"),
        ("RUN pip", "RUN apt-get install -y git; pip", "what is recommended"),
        ("RUN pip", "RUN sudo true; pip", "sudo"),
        ("A_HOST=0.0.0.0", "A_PASSWORD=x", "A_PASSWORD would stay"),
        ("A_HOST=0.0.0.0", "API_TOKEN=x", "API_TOKEN would stay"),
        ("ARG BASE_IMAGE", "ARG PEPPER\nARG BASE_IMAGE", "PEPPER would stay"),
        ("USER 10001:10001", "USER root", "runs as root"),
        ("USER 10001:10001", "USER 0", "runs as 0"),
        ("USER 10001:10001", "USER cortex", "runs as cortex"),
        ("USER 10001:10001\n", "", "a has no USER"),
        ("EXPOSE 3000\n", "", "a has no EXPOSE"),
        ('HEALTHCHECK --interval=5s CMD ["python", "-m", "probe"]', "", "a has no HEALTHCHECK"),
        ('CMD ["python", "-m", "probe"]', "CMD python -m probe", "HEALTHCHECK in shell form"),
        ('["python", "-m", "a"]', "python -m a", "ENTRYPOINT in shell form"),
        ("EXPOSE", "RUN true\nEXPOSE", "a runs commands"),
        ("EXPOSE", "WORKDIR srv\nEXPOSE", "WORKDIR is not absolute"),
        ("org.opencontainers.image.revision", "revision", "no label org.opencontainers.image.revision"),
    ],
)  # fmt: skip
def test_a_breach_is_named(instead_of: str, written: str, said: str) -> None:
    assert instead_of in GOOD

    broken = broken_rules(GOOD.replace(instead_of, written))

    assert [each for each in broken if said in each], broken


def test_a_rule_holds_for_what_a_stage_inherits() -> None:
    child = 'FROM a AS b\nENTRYPOINT ["python"]\n'

    assert broken_rules(GOOD + child) == []
    assert any("b runs as root" in each for each in broken_rules(GOOD.replace("USER 10001:10001", "USER root") + child))


def test_each_service_has_its_target_and_nothing_else_is_one() -> None:
    assert {stage.name for stage in stages(DOCKERFILE) if stage.is_target} == SERVICES


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_target_is_its_service(service: str) -> None:
    target = next(stage for stage in stages(DOCKERFILE) if stage.name == service)
    said = {each.word: each.rest for each in target.own}

    assert said["ENTRYPOINT"] == f'["python", "-m", "cortex_{service}.main"]'
    assert f"{service.upper()}_HOST=0.0.0.0" in said["ENV"]
    assert f'"cortex_core.kernel.health_probe", "{service}", "{said["EXPOSE"].split()[0]}"' in said["HEALTHCHECK"]
    assert said["EXPOSE"].split() == [str(TOPOLOGY[service]["port"]), *FIGURES.get(service, ())]


def test_a_plain_build_has_the_version_of_every_package() -> None:
    """`docker build` and Compose pass none: the Dockerfile's own is the packages'."""
    written = re.search(r"^ARG VERSION=(\S+) REVISION=unknown$", DOCKERFILE.partition("FROM")[0], re.MULTILINE)
    packages = [*(ROOT / "services").glob("*/pyproject.toml"), *(ROOT / "libs").glob("*/pyproject.toml")]

    assert written
    assert {tomllib.loads(each.read_text())["project"]["version"] for each in packages} == {written[1]}
    assert DOCKERFILE.count("\nARG VERSION REVISION\nLABEL") == len(SERVICES)


def test_what_the_builder_installs_has_hashes() -> None:
    """The builder's Python calls uv where a RUN cannot be read."""
    source = (ROOT / "scripts/images/builder/__main__.py").read_text()

    calls = re.findall(r'_uv\("pip".*', source)
    assert len(calls) == 2
    assert all("--require-hashes" in call or "--no-index" in call for call in calls)


def test_a_build_is_sent_little_and_no_secret() -> None:
    paths = list(sent(ROOT))
    names = {path.as_posix() for path in paths}

    assert sum((ROOT / path).stat().st_size for path in paths) < 5_000_000
    assert {path.parts[0] for path in paths} == {"LICENSE", "libs", "services", "requirements", "scripts"}
    assert {"services/order/src/cortex_order/main.py", "requirements/order.lock"} <= names
    assert not [name for name in names if re.search(r"(^|/)(tests|\.|__pycache__)", name)]


def test_the_last_pattern_decides(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("# all but one\n*\n!kept\n**/left\nkept/*.log\n!kept/important.log\n")
    for name in ("kept/a", "kept/left/b", "kept/deep/left/c", "kept/x.log", "kept/important.log", "other/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert {path.as_posix() for path in sent(tmp_path)} == {"kept/a", "kept/important.log"}
