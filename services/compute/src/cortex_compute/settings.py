"""COMPUTE_* environment, read once."""

import os
from typing import ClassVar

from pydantic import Field

from cortex_core.chassis import Config, service_config


class Settings(Config):
    """What is in memory at once is bounded by `memory_budget`, whatever the others say (docs/deploy/sizing.md).
    `max_pixels` cannot be more than Pillow's own bound."""

    model_config = service_config("COMPUTE_")
    service: ClassVar[str] = "compute"

    port: int = Field(default=3005, ge=0, le=65535)
    body_limit: int = Field(default=32 << 20, gt=0, description="Bytes an image's file may have.")
    max_pixels: int = Field(
        default=40_000_000, gt=0, le=1 << 27, description="Pixels an image may have, by its header."
    )
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, gt=0, description="Images processed at once.")
    connection_limit: int = Field(default=256, gt=0, description="Connections of this process.")
    queue: int = Field(default=16, ge=0, description="Images that may wait for a worker.")
    memory_budget: int | None = Field(
        default=None,
        gt=0,
        description="MiB that files, their processing and answers may take together. Unset: what the container's limit,"
        " or half of the machine, leaves beside the process itself.",
    )
    announcements: int = Field(default=1_000, gt=0, description="Events kept while the bus is away.")
