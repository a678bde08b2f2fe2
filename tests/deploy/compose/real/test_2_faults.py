"""What is killed comes back by itself, and nothing acknowledged is lost; replicas come and go under orders."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.compose.images import BROKEN_OFF, noise, post_image
from scripts.compose.orders import Orders, all_end, ask, counted, upload_slowly
from scripts.compose.page import commands
from scripts.compose.project import Project, run, until

PAGE = Path(__file__).parents[4] / "docs/deploy/compose.md"
SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")
KILLED = ("gateway", "order", "notification", "analytics", "storage", "compute", "payments", "redis", "postgres")
NUMBER = "SELECT right(version_num, 4) FROM alembic_version WHERE version_num LIKE 'order_%'"
BACK = 60.0  # seconds: a start under a CPU limit and the health check's interval, on a slow machine
REQUESTS = """
import sys, urllib.request
text = urllib.request.urlopen("http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
print(sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("{name}") and '{part}' in line))
"""


@pytest.fixture(scope="module")
def placed() -> list[str]:
    """Every acknowledged order of the tests of this file."""
    return []


@pytest.mark.parametrize("service", KILLED)
def test_a_killed_container_comes_back_and_no_order_is_lost(
    hub: Project, note: Any, placed: list[str], service: str
) -> None:
    container = hub.container(service)
    with Orders(hub.url) as orders:
        orders.more(15)
        began = hub.kill(service)
        again = until(lambda: hub.state(service)["StartedAt"] != began, "it is started again", BACK)
        back = again + until(lambda: hub.healthy(service), f"{service} is healthy again", BACK)
        orders.more(15)

    assert hub.container(service) == container
    ended = orders.all_end()
    placed += orders.acknowledged
    refused = sum(orders.refused.values())
    figure = f"healthy after {back:.1f} s; {len(orders.acknowledged)} acknowledged, {refused} refused, lost 0"
    note(f"SIGKILL of {service}", figure)
    assert ended["completed"] == len(orders.acknowledged), ended


def test_the_largest_images_there_may_be_all_at_once_end_no_process(hub: Project, note: Any) -> None:
    """Noise, uncompressed, as long as a body may be: bytes and pixels of more than compute has memory for."""
    image = noise(2890, 2880)
    began = hub.state("compute")["StartedAt"]

    with ThreadPoolExecutor(20) as uploads:
        statuses = Counter(uploads.map(lambda _: post_image(hub.url, image), range(20)))

    state = hub.state("compute")
    note("20 images of 33 MB at once", f"{statuses[200]} processed, {20 - statuses[200]} refused, compute not ended")
    assert (state["StartedAt"], state["OOMKilled"]) == (began, False)
    assert statuses[200] >= 1
    assert statuses.keys() <= {200, 503, BROKEN_OFF}, statuses


def test_postgresql_stopped_while_it_makes_its_files_makes_them_anew(another: Callable[..., Project]) -> None:
    """Half made ones would be taken for whole ones, at each start."""
    project = another("begun")
    project.compose("run", "--rm", "--no-deps", "init")
    project.compose("up", "--detach", "--no-deps", "postgres")
    until(lambda: "initdb" in run(["docker", "top", project.container("postgres")]).stdout, "files are made", 30)
    project.compose("stop", "postgres")

    assert project.state("postgres")["ExitCode"] != 137
    project.compose("run", "--rm", "databases")


def test_after_all_that_the_events_are_complete(hub: Project, placed: list[str]) -> None:
    all_end(hub.url, placed)
    until(lambda: counted(hub.url)["created"] >= len(placed), "analytics knows every order", 60)

    figures = counted(hub.url)
    assert figures["completed"] >= len(placed)


def _served(hub: Project, container: str, port: int, name: str, part: str) -> float:
    script = REQUESTS.format(port=port, name=name, part=part)
    return float(run(["docker", "exec", container, "python", "-c", script]).stdout)


def test_three_of_order_all_serve_and_one_is_enough_again(hub: Project, note: Any) -> None:
    with Orders(hub.url) as orders:
        orders.more(15)
        took = hub.up("--no-recreate", "--scale", "order=3")
        replicas = hub.containers("order")
        assert len(replicas) == 3

        def shares() -> list[float]:
            return [_served(hub, one, 3001, "cortex_hub_http_requests_total", "orders") for one in replicas]

        until(lambda: min(shares()) >= 5, "each of the three has served orders", 60)
        served = shares()
        hub.up("--no-recreate", "--scale", "order=1")
        orders.more(30)

    ended = orders.all_end()
    assert len(hub.containers("order")) == 1
    assert ended["completed"] == len(orders.acknowledged), ended
    figure = f"up in {took:.0f} s, served {', '.join(f'{share:.0f}' for share in served)}; "
    note(
        "order scaled to 3 and back",
        figure + f"{len(orders.acknowledged)} acknowledged, {orders.refused or 'none'} refused",
    )


def test_replicas_that_the_pages_file_asks_for_stay(hub: Project) -> None:
    try:
        hub.shell(commands(PAGE, "Replicas"), hub.folder, seconds=900)
        hub.up()
        assert len(hub.containers("order")) == 3
    finally:
        (hub.folder / "docker-compose.override.yml").unlink(missing_ok=True)
        hub.up()
    assert len(hub.containers("order")) == 1


def test_two_of_notification_and_storage(hub: Project, note: Any) -> None:
    hub.up("--no-recreate", "--scale", "notification=2", "--scale", "storage=2")
    status, stored = ask(hub.url, "/api/storage/files", b"shared by both" * 1000)
    assert status == 201
    replicas = hub.containers("storage")

    def both() -> bool:
        ask_raw(hub, f"/api/storage/files/{stored['cid']}")
        return all(_served(hub, one, 3004, "cortex_hub_http_requests_total", "files") > 0 for one in replicas)

    took = until(both, "both replicas of storage have served the file", 60)
    hub.up("--no-recreate", "--scale", "notification=1", "--scale", "storage=1")
    note("notification and storage scaled to 2", f"both serve within {took:.1f} s")


def ask_raw(hub: Project, path: str) -> bytes:
    """A file, whole and past the gateway's cache."""
    import secrets
    import urllib.request

    request = urllib.request.Request(
        f"{hub.url}{path}", headers={"Cache-Control": "no-cache", "X-N": secrets.token_hex(4)}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
        found: bytes = answer.read()
        assert found == b"shared by both" * 1000
        return found


def test_down_drains_and_the_volumes_keep_the_orders(hub: Project, note: Any) -> None:
    first = threading.Event()
    with Orders(hub.url) as orders, ThreadPoolExecutor(1) as pool:
        orders.more(15)
        upload = pool.submit(upload_slowly, hub.url, 16, first, 2.0)
        assert first.wait(10)
        began = time.monotonic()
        hub.compose("stop", seconds=120)
        took = time.monotonic() - began
        assert upload.result(30) == 201

    codes = {
        each["Config"]["Labels"]["com.docker.compose.service"]: each["State"]["ExitCode"]
        for each in hub.inspect(*hub.containers())
    }
    assert set(codes.values()) == {0}, codes
    assert not any(each["State"]["OOMKilled"] for each in hub.inspect(*hub.containers()))
    hub.compose("down")
    assert hub.containers() == []
    hub.up()
    ended = orders.all_end()
    assert ended["completed"] == len(orders.acknowledged)
    figure = f"{took:.1f} s, an upload in progress ended with 201, every exit code 0"
    note("down under load", f"{figure}; {len(orders.acknowledged)} orders there after the next up")


@contextmanager
def newer_version(hub: Project) -> Iterator[str]:
    """The same images by another tag, as a build of the next version leaves the old ones theirs."""
    tag = f"{hub.tag}-newer"
    names = [f"cortex-hub/{service}" for service in SERVICES]
    for name in names:
        run(["docker", "tag", f"{name}:{hub.tag}", f"{name}:{tag}"])
    try:
        yield tag
    finally:
        run(["docker", "image", "rm", *(f"{name}:{tag}" for name in names)], good=False)


def test_a_newer_version_and_the_way_back_keep_the_orders(hub: Project, note: Any) -> None:
    def revision(number: str) -> None:
        changed = f"UPDATE alembic_version SET version_num = 'order_{number}' WHERE version_num LIKE 'order_%'"
        hub.compose("exec", "-T", "postgres", "psql", "-qX", "-U", "postgres", "-d", "order", "-c", changed)

    def image() -> str:
        return str(hub.inspect(hub.container("order"))[0]["Config"]["Image"])

    told = hub.compose("exec", "-T", "postgres", "psql", "-qAtX", "-U", "postgres", "-d", "order", "-c", NUMBER).stdout
    old = hub.env["CORTEX_TAG"]
    with Orders(hub.url) as orders, newer_version(hub) as new:
        orders.more(15)
        hub.env["CORTEX_TAG"] = new
        there = hub.up()
        assert image().endswith(new)
        orders.more(15)
        revision("0099")  # what a migration of the newer version leaves behind
        hub.env["CORTEX_TAG"] = old
        back = hub.up()
        assert image().endswith(old)
        orders.more(15)
        revision(told.strip())

    ended = orders.all_end()
    assert ended["completed"] == len(orders.acknowledged), ended
    note("a newer version, and back", f"{there:.0f} s, {back:.0f} s; {len(orders.acknowledged)} orders there")
