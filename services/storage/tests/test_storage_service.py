"""The service as a whole: what it needs, what it survives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from pydantic import ValidationError

from cortex_core.testing import eventually, serving
from cortex_storage.main import app
from cortex_storage.settings import Settings
from cortex_storage.wiring import build


async def health(client: ClientSession) -> tuple[int, dict[str, Any]]:
    async with client.get("/health/ready") as answer:
        return answer.status, await answer.json()


async def test_it_is_ready_when_its_database_and_its_disk_are(client: ClientSession, settings: Settings) -> None:
    status, report = await health(client)
    assert (status, report["status"]) == (200, "up")
    assert {"database", "blocks", "event-bus"} <= report["checks"].keys()

    settings.blocks_dir.rename(settings.blocks_dir.with_name("unmounted"))

    status, report = await health(client)
    assert (status, report["checks"]["blocks"]["status"]) == (503, "down")


async def test_without_the_bus_it_takes_files_and_tells_of_them_later(client: ClientSession, bus: Any) -> None:
    bus.down = True
    for number in range(3):
        async with client.post("/storage/files", data=str(number).encode()) as answer:
            assert answer.status == 201
    status, report = await health(client)
    assert (status, report["status"]) == (200, "degraded")
    assert bus.published == []

    bus.down = False

    await eventually(lambda: len(bus.published) == 3)
    assert len({event.id for event in bus.published}) == 3

    async def well() -> bool:
        return bool((await health(client))[1]["status"] == "up")

    await eventually(well)  # the relay notices when its batch is marked, too


async def test_files_survive_a_restart(settings: Settings, make_bus: Callable[[], Any]) -> None:
    async with (
        serving(build(settings, bus=make_bus())) as client,
        client.post("/storage/files", data=b"kept") as answer,
    ):
        cid = (await answer.json())["cid"]

    async with serving(build(settings, bus=make_bus())) as client, client.get(f"/storage/files/{cid}") as answer:
        assert (answer.status, await answer.read()) == (200, b"kept")


async def test_an_event_that_missed_the_bus_is_told_after_a_restart(
    settings: Settings, make_bus: Callable[[], Any]
) -> None:
    away, back = make_bus(), make_bus()
    away.down = True
    async with serving(build(settings, bus=away)) as client, client.post("/storage/files", data=b"late") as answer:
        cid = (await answer.json())["cid"]

    async with serving(build(settings, bus=back)):
        (event,) = await eventually(lambda: back.published)

    assert (event.type, event.subject) == ("file.stored", cid)


def test_production_names_what_it_must_be_told() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(env="production")

    assert "STORAGE_BLOCKS_DIR" in str(caught.value)
    assert "STORAGE_DATABASE_URL" in str(caught.value)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "test")
    monkeypatch.setenv("STORAGE_BLOCKS_DIR", "/srv/blocks")
    monkeypatch.setenv("STORAGE_MAX_FILE_BYTES", "1000")

    settings = Settings()

    assert (settings.blocks_dir, settings.max_file_bytes, settings.port) == (Path("/srv/blocks"), 1000, 3004)
    assert app().title == "Cortex Hub: storage"


async def test_its_routes_are_documented(client: ClientSession) -> None:
    async with client.get("/openapi.json") as answer:
        paths = (await answer.json())["paths"]

    upload, download = paths["/storage/files"]["post"], paths["/storage/files/{cid}"]["get"]
    assert upload["requestBody"]["content"].keys() == {"application/octet-stream", "multipart/form-data"}
    assert not upload["requestBody"].get("required", False)  # an empty file is a file
    assert {"201", "400", "413", "422", "503"} <= upload["responses"].keys()
    assert {"200", "206", "304", "400", "404", "416", "500", "503"} <= download["responses"].keys()
    assert download["responses"]["416"]["content"].keys() == {"application/problem+json"}
