"""STORAGE_* environment, read once."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from cortex_core.chassis import Config, development, service_config


class Settings(Config):
    """What the storage service is told."""

    model_config = service_config("STORAGE_")

    service: ClassVar[str] = "storage"
    port: int = Field(default=3004, ge=0, le=65535)
    database_url: str = development("sqlite+aiosqlite:///.cortex/data/storage.db", repr=False)  # it may hold a password
    blocks_dir: Path = development(Path(".cortex/data/storage/blocks"))
    max_file_bytes: int = Field(default=1 << 30, gt=0, description="Bytes a file may have.")
