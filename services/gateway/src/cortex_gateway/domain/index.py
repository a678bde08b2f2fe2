"""What the gateway says of itself at the entrance of its API."""


def index(version: str) -> dict[str, object]:
    """Where to go from here. The links are relative: right behind any prefix."""
    return {
        "name": "Cortex Hub",
        "version": version,
        "links": {"docs": "docs", "openapi": "openapi.json", "health": "health"},
    }
