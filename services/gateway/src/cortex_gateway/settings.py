"""What the gateway is told by its environment: `GATEWAY_*`, and the shared settings of the chassis."""

from typing import ClassVar

from cortex_core.chassis import Config, development, service_config

_ADDRESS = r"^https?://[^/?#\s@]+$"  # scheme and authority: paths are the route table's


class Settings(Config):
    """The addresses are those of topology.toml on a developer's machine; production names its own."""

    model_config = service_config("GATEWAY_")
    service: ClassVar[str] = "gateway"

    port: int = 3000
    order_url: str = development("http://127.0.0.1:3001", pattern=_ADDRESS)
    notification_url: str = development("http://127.0.0.1:3002", pattern=_ADDRESS)
    analytics_url: str = development("http://127.0.0.1:3003", pattern=_ADDRESS)
    storage_url: str = development("http://127.0.0.1:3004", pattern=_ADDRESS)
    compute_url: str = development("http://127.0.0.1:3005", pattern=_ADDRESS)
