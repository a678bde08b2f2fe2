"""docs/deploy/backup-and-restore.md, by its own commands: from a hub at work into another namespace."""

import json
import time
from pathlib import Path

from scripts.kubernetes.cluster import Namespace

from .page import do
from .release import NAME, Release
from .sightings import Sightings

PAGE = "backup-and-restore.md"
ORDER = {
    "customerId": "cus_kept",
    "currency": "EUR",
    "paymentToken": "tok_ok",
    "items": [{"sku": "book", "quantity": 1, "unitPrice": 1250}],
}
LENGTH = "REDISCLI_AUTH=$(cat /etc/redis/auth/password) redis-cli xlen cortex:public:events:order"


def on_the_bus(namespace: Namespace) -> int:
    return int(namespace.kubectl("exec", f"{NAME}-redis-0", "--", "sh", "-c", LENGTH))


def test_what_was_backed_up_is_there_in_another_namespace(hub: Release, seen: Sightings, tmp_path: Path) -> None:
    content = b"to be kept" * 50_000
    with hub.open() as door:
        body = json.dumps(ORDER).encode()
        orders = [door.post("/api/orders", body, "application/json")["orderId"] for _ in range(5)]
        stored = door.post("/api/storage/files", content, "application/octet-stream")["cid"]
    hub.end_of(orders)
    events, token, pepper = on_the_bus(hub.namespace), hub.token(), hub.namespace.secret(f"{NAME}-pepper")

    began = time.monotonic()
    do("Back up on Kubernetes", hub.namespace, PAGE, BACKUP=str(tmp_path / "backup"))
    saved = time.monotonic() - began
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "backup").iterdir()} == {0}
    hub.uninstall()  # a small node has no room for two

    with Namespace.made(f"{hub.namespace.name}-again") as other:
        restored = Release(other, hub.repository, hub.tag)
        began = time.monotonic()
        try:
            do("Restore on Kubernetes", other, PAGE, BACKUP=str(tmp_path / "backup"))
            seen("backup, restored into another namespace", f"{saved:.0f} s, {time.monotonic() - began:.0f} s")

            assert restored.token() == token
            assert other.secret(f"{NAME}-pepper") == pepper
            assert on_the_bus(other) >= events
            restored.end_of(orders)
            with restored.open() as door:
                assert stored in {each["cid"] for each in door.get("/api/storage/files")["files"]}
                placed = door.post("/api/orders", body, "application/json")["orderId"]
            restored.end_of([placed])
        finally:
            restored.explain()
            restored.uninstall()
