"""One command, and a hub: healthy, demonstrated, bounded, and with nothing open that need not be."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from scripts.compose.orders import Orders, counted
from scripts.compose.project import Project, run, until

MEMORY = 1.5 * (1 << 30)
SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")
LONG_LIVED = (*SERVICES, "payments", "redis", "postgres")


def test_the_file_is_valid_with_and_without_its_profiles(hub: Project) -> None:
    for words in (
        [],
        ["--profile", "chain"],
        ["--profile", "observability"],
        ["--profile", "chain", "--profile", "observability"],
    ):
        hub.compose(*words, "config", "--quiet")
        hub.compose("-f", "docker-compose.yml", "-f", "docker-compose.dev.yml", *words, "config", "--quiet")


def test_one_command_ends_with_a_healthy_hub(hub: Project, note: Any) -> None:
    assert all(hub.healthy(service) for service in LONG_LIVED)
    note("up again, with nothing to do", f"{hub.up():.1f} s")


def test_the_demonstration_passes(hub: Project, tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "cortex_cli.main", "demo", "--url", hub.url],
        cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip

    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_memory_in_use_is_within_the_plan(hub: Project, note: Any) -> None:
    with Orders(hub.url) as orders:
        orders.more(60)
        used = hub.memory()
    for service, size in sorted(used.items(), key=lambda each: -each[1]):
        note(f"memory of {service}", f"{size / (1 << 20):.0f} MiB")
    note("memory of the core profile, under orders", f"{sum(used.values()) / (1 << 20):.0f} MiB (of 1536)")

    assert set(used) == set(LONG_LIVED)
    assert sum(used.values()) <= MEMORY


def test_limits_are_the_kernels(hub: Project) -> None:
    for each in hub.inspect(*(hub.container(service) for service in LONG_LIVED)):
        host = each["HostConfig"]
        assert host["Memory"] > 0
        assert host["NanoCpus"] > 0
        assert host["PidsLimit"] > 0
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["Privileged"]


def test_only_the_gateway_is_published_and_on_the_loopback_interface(hub: Project) -> None:
    published = {
        each["Config"]["Labels"]["com.docker.compose.service"]: each["NetworkSettings"]["Ports"]
        for each in hub.inspect(*hub.containers())
    }
    bound = {name: [port for ports in found.values() if ports for port in ports] for name, found in published.items()}

    assert {name for name, ports in bound.items() if ports} == {"gateway"}
    assert {port["HostIp"] for port in bound["gateway"]} == {"127.0.0.1"}
    others = {a.address for each in psutil.net_if_addrs().values() for a in each if a.family == socket.AF_INET}
    for address in others - {"127.0.0.1"}:
        with socket.socket() as one:
            one.settimeout(1)
            assert one.connect_ex((address, int(hub.env["CORTEX_PORT"]))) != 0


def test_the_stores_networks_lead_nowhere(hub: Project) -> None:
    for network, store in (("bus", "redis"), ("data", "postgres")):
        (found,) = json.loads(run(["docker", "network", "inspect", f"{hub.name}_{network}"]).stdout)
        assert found["Internal"]
        (container,) = hub.inspect(hub.container(store))
        assert set(container["NetworkSettings"]["Networks"]) == {f"{hub.name}_{network}"}


PEEK = """
import os, sys
found = sorted(os.listdir("/run/secrets"))
print(*found)
for place in ("/made", "/handed", "/own"):
    assert not os.path.exists(place), place
for name in found:
    open(f"/run/secrets/{name}").read()
try:
    open("/run/secrets/x", "w")
except OSError:
    sys.exit(0)
sys.exit("the secrets can be written")
"""


def test_a_container_reads_its_own_secrets_and_no_others(hub: Project) -> None:
    public = {"redis_url", "internal_keys", "jwks"}
    wanted = dict.fromkeys(("notification", "compute"), public)
    wanted |= {name: public | {"database_url"} for name in ("order", "analytics", "storage")}
    wanted["gateway"] = public | {"internal_signing_key", "key_pepper", "static_tokens"}
    for name, files in wanted.items():
        told = hub.compose("exec", "-T", name, "python", "-c", PEEK).stdout
        assert set(told.split()) == files, name


def test_no_secret_is_in_what_docker_shows(hub: Project) -> None:
    password = hub.compose("exec", "-T", "redis", "cat", "/run/secrets/password").stdout.strip()
    script = "print(open('/run/secrets/database_url').read().split(':')[2].split('@')[0])"
    role = hub.compose("exec", "-T", "order", "python", "-c", script).stdout.strip()
    (token,) = json.loads(hub.compose("run", "--rm", "--no-deps", "init", "show", "static_tokens").stdout)
    secrets = [password, role, token["token"]]
    shown = json.dumps(hub.inspect(*hub.containers())) + hub.compose("logs").stdout
    shown += "".join(
        run(["docker", "top", one, "-eo", "pid,args"]).stdout for one in hub.compose("ps", "-q").stdout.split()
    )

    assert min(map(len, secrets)) > 16
    assert not [secret for secret in secrets if secret in shown]


def test_a_role_of_one_database_may_not_enter_anothers(hub: Project) -> None:
    def enter(database: str) -> int:
        asked = f"psql -qAtX -h 127.0.0.1 -U order -d {database} -c 'SELECT 1'"
        script = f"PGPASSWORD=$(cat /run/secrets/order_password) {asked}"
        return hub.compose("exec", "-T", "postgres", "sh", "-c", script, good=False).returncode

    assert enter("order") == 0
    assert enter("analytics") != 0
    assert enter("storage") != 0
    assert enter("postgres") != 0


def test_redis_asks_for_its_password(hub: Project) -> None:
    assert "NOAUTH" in hub.compose("exec", "-T", "redis", "redis-cli", "ping", good=False).stdout


def test_events_arrive(hub: Project) -> None:
    before = counted(hub.url)["created"]
    with Orders(hub.url) as orders:
        orders.more(20)
    assert orders.all_end()["completed"] == len(orders.acknowledged)

    until(lambda: counted(hub.url)["created"] == before + len(orders.acknowledged), "analytics counted all", 30)
