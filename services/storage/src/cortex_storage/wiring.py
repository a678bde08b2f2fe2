"""The parts, put together. Tests pass fakes for what they replace."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from cortex_core.chassis import Platform, create_app, relaying
from cortex_core.events import EventBus
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.ipfs import BlockStore, FileBlockStore
from cortex_core.kernel import Clock
from cortex_storage import api
from cortex_storage.adapters import SqlFiles
from cortex_storage.settings import Settings
from cortex_storage.usecases import FindFile, ListFiles, ReadFile, StoreFile, UseCases

MIGRATIONS: Final = Path(__file__).parent / "migrations"


@asynccontextmanager
async def running(
    platform: Platform, settings: Settings, *, blocks: BlockStore | None = None
) -> AsyncIterator[UseCases]:
    """Opens what the service stands on, closes it in reverse."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_event_store(
                settings.database_url,
                clock=platform.clock,
                migrations=[MIGRATIONS],
                migrate=settings.env != "production",
            )
        )
        blocks = blocks or await FileBlockStore.open(settings.blocks_dir)
        platform.health.register("database", store.check)
        platform.health.register("blocks", blocks.check)
        await stack.enter_async_context(relaying(store, platform))
        files = SqlFiles(store)
        yield UseCases(
            store=StoreFile(files, blocks, platform.clock, settings.max_file_bytes),
            find=FindFile(files),
            read=ReadFile(blocks),
            listing=ListFiles(files),
        )


def build(settings: Settings, *, clock: Clock | None = None, bus: EventBus | None = None, **fakes: Any) -> FastAPI:
    """The application. The bus is not required: without it files are taken, and their events wait in the outbox."""
    return create_app(
        settings,
        running=lambda platform: running(platform, settings, **fakes),
        routers=[api.router],
        clock=clock,
        bus=bus,
        bus_required=False,
        body_limits={"/storage/files": sys.maxsize},  # StoreFile counts the file's own bytes, form or not
        description="Files by their content: stored once, named by their CID, checked whenever they are read.",
    )
