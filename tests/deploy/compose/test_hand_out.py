"""Compose's `init`: secrets are made once, each reader gets its own and no other's, and nothing is guessed in
production."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cortex_core.security.development import Wanted, ensure

ROOT = Path(__file__).parents[3]
DEVELOPMENT = {
    "CORTEX_ENV": "development",
    "CORTEX_JWKS": "/run/secrets/jwks",
    "GATEWAY_STATIC_TOKENS": "/run/secrets/static_tokens",
}
PRODUCTION = DEVELOPMENT | {
    "CORTEX_ENV": "production",
    "CORTEX_SANDBOX": "0",
    "ORDER_PAYMENT_URL": "https://payments.example",
}
SERVICES = {"gateway", "order", "notification", "analytics", "storage", "compute"}


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hand_out", ROOT / "compose/hand_out.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hand_out = _module()


class Init:
    """The program on folders of its own; who was given what is remembered instead of done: that takes root."""

    def __init__(self, folder: Path) -> None:
        names = ("made", "own", "handed", "blocks", "socket")
        for name in names:
            (folder / name).mkdir()
        self.places = hand_out.Places(*(folder / name for name in names))
        self.given: dict[str, int] = {}

    def gather(self, env: dict[str, str] = DEVELOPMENT) -> dict[str, str]:
        known: dict[str, str] = hand_out.gather(
            self.places, env, lambda folder: ensure(folder, Wanted(static_token=True))
        )
        return known

    def run(self, env: dict[str, str] = DEVELOPMENT) -> None:
        hand_out.hand_out(self.places, self.gather(env), self._give)

    def _give(self, path: Path, user: int) -> None:
        self.given[f"{path.parent.name}/{path.name.removeprefix('.').removesuffix('.new')}"] = user

    def files(self, reader: str) -> dict[str, str]:
        return {path.name: path.read_text().rstrip("\n") for path in (self.places.handed / reader).iterdir()}

    def own(self, **files: str) -> None:
        for name, text in files.items():
            path = self.places.own / name
            path.write_text(text + "\n")
            path.chmod(0o600)

    def own_everything(self) -> None:
        self.own(**{name: f"{name}-of-ours-0123456789" for name in (*hand_out.PASSWORDS, *hand_out.KEYS)})


@pytest.fixture
def init(tmp_path: Path) -> Init:
    return Init(tmp_path)


def test_each_reader_gets_its_own_and_no_others(init: Init) -> None:
    init.run()
    public = {"redis_url", "internal_keys", "jwks"}

    assert {reader: set(init.files(reader)) for reader in SERVICES} == {
        "gateway": public | {"internal_signing_key", "key_pepper", "static_tokens"},
        "order": public | {"database_url"},
        "notification": public,
        "analytics": public | {"database_url"},
        "storage": public | {"database_url"},
        "compute": public,
    }
    urls = {init.files(name)["database_url"] for name in ("order", "analytics", "storage")}
    passwords = {url.split(":")[2].split("@")[0] for url in urls}
    assert len(passwords) == 3
    assert init.files("gateway")["internal_signing_key"] not in str(
        [init.files(name) for name in SERVICES - {"gateway"}]
    )


def test_the_stores_are_told_what_the_services_will_say(init: Init) -> None:
    init.run()
    redis, postgres = init.files("redis"), init.files("postgres")

    assert redis["auth.conf"] == f"requirepass {redis['password']}"
    assert init.files("compute")["redis_url"] == f"redis://:{redis['password']}@redis:6379/0"
    for name in ("order", "analytics", "storage"):
        wanted = f"postgresql+asyncpg://{name}:{postgres[f'{name}_password']}@postgres:5432/{name}"
        assert init.files(name)["database_url"] == wanted
    assert set(postgres) == {"postgres_password", "order_password", "analytics_password", "storage_password"}


def test_a_file_can_be_read_by_its_reader_alone(init: Init) -> None:
    init.run()

    for path in init.places.handed.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o400
    users = {name.split("/")[0]: user for name, user in init.given.items()}
    assert {users[name] for name in SERVICES} == {10001}
    assert (users["redis"], users["postgres"], users["grafana"]) == (999, 999, 472)
    folder = init.places.blocks.parent.name
    assert init.given[f"{folder}/blocks"] == 10001
    assert init.given[f"{folder}/socket"] == 999


def test_the_second_time_changes_nothing(init: Init) -> None:
    init.run()
    before = {path: path.stat().st_ino for path in init.places.handed.rglob("*")}
    init.run()

    assert {path: path.stat().st_ino for path in init.places.handed.rglob("*")} == before


def test_what_is_made_is_marked_as_developments(init: Init) -> None:
    known = init.gather()

    assert all(known[name].startswith("dev-") for name in hand_out.PASSWORDS)
    assert json.loads(known["static_tokens"])[0]["token"].startswith("st_dev")


def test_what_is_left_from_before_is_taken_away(init: Init) -> None:
    init.run()
    (init.places.handed / "order/old").write_text("x")
    init.run()

    assert "old" not in init.files("order")


def test_what_is_yours_is_taken_and_the_rest_is_made(init: Init) -> None:
    init.own(redis_password="mine-0123456789@/x")
    init.run()

    assert init.files("redis")["password"] == "mine-0123456789@/x"
    assert init.files("order")["redis_url"] == "redis://:mine-0123456789%40%2Fx@redis:6379/0"
    assert init.files("order")["database_url"].startswith("postgresql+asyncpg://order:dev-")


def test_production_takes_what_is_yours_and_makes_nothing(init: Init) -> None:
    init.own_everything()
    init.run(PRODUCTION)

    assert init.files("gateway")["key_pepper"] == "key_pepper-of-ours-0123456789"
    assert list(init.places.made.iterdir()) == []


def test_production_without_secrets_names_those_that_are_missing(init: Init) -> None:
    init.own_everything()
    (init.places.own / "key_pepper").unlink()
    (init.places.own / "order_password").unlink()

    with pytest.raises(hand_out.Refused, match=r"production needs order_password, key_pepper in the folder") as refused:
        init.run(PRODUCTION)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("left_out", "elsewhere"),
    [("jwks", {"CORTEX_JWKS": "https://issuer.example/keys"}), ("static_tokens", {"GATEWAY_STATIC_TOKENS": ""})],
)
def test_what_is_known_from_elsewhere_is_not_asked_for(init: Init, left_out: str, elsewhere: dict[str, str]) -> None:
    init.own_everything()
    (init.places.own / left_out).unlink()
    init.run(PRODUCTION | elsewhere)

    assert left_out not in init.files("gateway")


@pytest.mark.parametrize("environment", ["prod", "Production", "staging", "dev", ""])
def test_an_environment_that_there_is_not_is_refused_before_anything_is_made(init: Init, environment: str) -> None:
    with pytest.raises(hand_out.Refused, match="CORTEX_ENV must be one of development, test, production"):
        init.run({**DEVELOPMENT, "CORTEX_ENV": environment})

    assert list(init.places.made.iterdir()) == []


@pytest.mark.parametrize("name", ["ORDER_PAYMENT_URL", "CORTEX_SANDBOX"])
@pytest.mark.parametrize("told", [{}, {"ORDER_PAYMENT_URL": "", "CORTEX_SANDBOX": "1"}])
def test_production_that_nobody_can_be_paid_by_is_refused(init: Init, name: str, told: dict[str, str]) -> None:
    init.own_everything()
    env = {key: value for key, value in PRODUCTION.items() if key != name}

    with pytest.raises(hand_out.Refused, match=f"production needs {name}"):
        init.run(env | {key: value for key, value in told.items() if key == name})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_secret_that_others_read_is_refused_in_production(init: Init, mode: int) -> None:
    init.own_everything()
    (init.places.own / "key_pepper").chmod(mode)

    with pytest.raises(hand_out.Refused, match="key_pepper in CORTEX_SECRETS can be read by others"):
        init.run(PRODUCTION)
    init.run(DEVELOPMENT)


def test_an_environment_that_is_not_said_is_production(init: Init) -> None:
    with pytest.raises(hand_out.Refused, match="production needs"):
        init.run({})


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"redis_password": "dev-0123456789abcdef"}, "redis_password was made for development"),
        ({"order_password": "short"}, "order_password must be 16 to 200"),
        ({"order_password": "with a space 0123456789"}, "order_password must be"),
        ({"order_password": "with'quote-0123456789"}, "order_password must be"),
        ({"key_pepper": ""}, "key_pepper in CORTEX_SECRETS is empty"),
        ({"pepper": "x"}, "pepper in CORTEX_SECRETS is no secret of ours"),
        ({"jwks": "x" * (300 << 10)}, "jwks in CORTEX_SECRETS has more than"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line_without_it(init: Init, files: dict[str, str], says: str) -> None:
    init.own_everything()
    init.own(**files)

    with pytest.raises(hand_out.Refused, match=says) as refused:
        init.run(PRODUCTION)
    assert "\n" not in str(refused.value)
    assert not any(text in str(refused.value) for text in files.values() if len(text) > 5)


def test_bytes_that_are_no_text_are_refused(init: Init) -> None:
    init.own_everything()
    (init.places.own / "key_pepper").write_bytes(b"\xff\xfe\xff")

    with pytest.raises(hand_out.Refused, match="key_pepper in CORTEX_SECRETS cannot be read"):
        init.run(PRODUCTION)


def test_an_interruption_leaves_the_old_or_the_new(init: Init, monkeypatch: pytest.MonkeyPatch) -> None:
    init.run()
    old = init.files("redis")

    def broken(*_: Any) -> None:
        raise OSError

    init.own(redis_password="another-0123456789")
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError):
        init.run()
    monkeypatch.undo()

    left = {name: text for name, text in init.files("redis").items() if not name.startswith(".")}
    assert left == old
    init.run()
    assert init.files("redis")["password"] == "another-0123456789"
    assert set(init.files("redis")) == {"password", "auth.conf"}


def test_a_clone_that_containers_cannot_read_is_told_so(tmp_path: Path) -> None:
    """And what it is told to do leaves secrets alone."""
    files = ("compose/databases.sql", "compose/secrets/key_pepper", "observability/loki/loki.yml")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for path in (*tmp_path.rglob("*"), tmp_path):
        path.chmod(0o700 if path.is_dir() else 0o600)

    with pytest.raises(hand_out.Refused, match=r"containers cannot read compose/databases\.sql: chmod"):
        hand_out.check_readable(tmp_path)
    (tmp_path / files[0]).chmod(0o644)
    with pytest.raises(hand_out.Refused, match="containers cannot read observability") as refused:
        hand_out.check_readable(tmp_path)
    subprocess.run(["bash", "-euc", str(refused.value).partition(": ")[2]], cwd=tmp_path, check=True)
    hand_out.check_readable(tmp_path)

    assert not any((tmp_path / kept).stat().st_mode & 0o077 for kept in (files[1], "compose/secrets"))


def test_only_what_is_for_people_is_shown(init: Init) -> None:
    known = init.gather()

    assert hand_out._shown(["show", "grafana_password"], known) == known["grafana_password"]
    for words in (["show", "key_pepper"], ["show"], ["hide", "grafana_password"]):
        with pytest.raises(hand_out.Refused, match="no command"):
            hand_out._shown(words, known)
