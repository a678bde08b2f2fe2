"""Of others' packages an image has what a service loads, and of their words those that are read."""

import marshal
import sys
import sysconfig
from pathlib import Path

import pytest

from scripts.images.builder.interpreter import BUNDLE
from scripts.images.builder.packages import dependencies, files

KEPT = {
    "certifi/cacert.pem",
    "cffi-2.1.1.dist-info/METADATA",
    "charset_normalizer/md.py",
    "google/protobuf/descriptor.py",
    "opentelemetry/proto/collector/trace/v1/trace_service_pb2.py",
    "opentelemetry/sdk/trace/__init__.py",
    "opentelemetry/semconv/_incubating/metrics/otel_metrics.py",
    "pydantic/main.py",
    "redis/observability/providers.py",
}
LEFT_OUT = {
    "cffi/api.py",
    "charset_normalizer/md.cpython-311-x86_64-linux-gnu.so",
    "google/protobuf/any.proto",
    "google/protobuf/descriptor_pb2.py",
    "google/rpc/status_pb2.py",
    "googleapis_common_protos-1.76.0.dist-info/METADATA",
    "opentelemetry/exporter/otlp/proto/http/metric_exporter/__init__.py",
    "opentelemetry/proto/collector/metrics/v1/metrics_service_pb2.py",
    "opentelemetry/sdk/_logs/__init__.py",
    "opentelemetry/sdk/metrics/__init__.py",
    "opentelemetry/semconv/_incubating/metrics/k8s_metrics.py",
    "pydantic/v1/main.py",
    "urllib3/contrib/emscripten/fetch.py",
}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with a part of each."""
    place = tmp_path / "venv"
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").symlink_to(Path(sys.executable).resolve())
    for name in KEPT | LEFT_OUT:
        file = _site(place) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return place


def _site(place: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(place)}))


def test_only_what_is_loaded_is_kept(environment: Path) -> None:
    found = {path.relative_to(_site(environment)).as_posix() for path in files(environment, lambda _: True)}

    assert found == KEPT


def test_the_authorities_of_requests_are_the_systems(environment: Path, tmp_path: Path) -> None:
    dependencies(environment, tmp_path / "layer", [])

    (link,) = (tmp_path / "layer").rglob("cacert.pem")
    assert link.readlink() == BUNDLE


@pytest.mark.parametrize(("module", "kept"), [("orm/events", True), ("sql/compiler", False), ("events", True)])
def test_of_sqlalchemy_only_events_keep_their_docstrings(
    environment: Path, tmp_path: Path, module: str, kept: bool
) -> None:
    """It rewrites them while it is imported."""
    source = _site(environment) / f"sqlalchemy/{module}.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text('"""What it is."""\n')
    dependencies(environment, tmp_path / "layer", [])

    (compiled,) = (tmp_path / "layer").rglob(f"{Path(module).name}.pyc")
    assert ("What it is." in marshal.loads(compiled.read_bytes()[16:]).co_consts) == kept
