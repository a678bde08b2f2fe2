"""One example of every event there is, with all its optional members, as object and as the wire has it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cortex_contracts import (
    EventData,
    FileStored,
    ImageProcessed,
    KeyRevoked,
    KeyRotated,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderFailed,
    OrderStateChanged,
)

Example = tuple[EventData, dict[str, Any]]

EXAMPLES: dict[str, Example] = {
    "order.created": (
        OrderCreated(
            order_id="ord_1",
            customer_id="cus_1",
            total=2500,
            currency="EUR",
            created_at=datetime(2026, 11, 23, 12, 0, 0, 250_000, UTC),
        ),
        {
            "orderId": "ord_1",
            "customerId": "cus_1",
            "total": 2500,
            "currency": "EUR",
            "createdAt": "2026-11-23T12:00:00.250000Z",
        },
    ),
    "order.state.changed": (
        OrderStateChanged(order_id="ord_1", state="processing", previous="pending"),
        {"orderId": "ord_1", "state": "processing", "previous": "pending"},
    ),
    "order.completed": (
        OrderCompleted(order_id="ord_1", customer_id="cus_1", total=2500, currency="EUR", processing_time=0.5),
        {"orderId": "ord_1", "customerId": "cus_1", "total": 2500, "currency": "EUR", "processingTime": 0.5},
    ),
    "order.failed": (
        OrderFailed(order_id="ord_1", customer_id="cus_1", reason="declined", processing_time=0.5),
        {"orderId": "ord_1", "customerId": "cus_1", "reason": "declined", "processingTime": 0.5},
    ),
    "order.cancelled": (
        OrderCancelled(order_id="ord_1", customer_id="cus_1", processing_time=0.5),
        {"orderId": "ord_1", "customerId": "cus_1", "processingTime": 0.5},
    ),
    "file.stored": (
        FileStored(cid="bafkqaaa", size=0, media_type="text/plain"),
        {"cid": "bafkqaaa", "size": 0, "mediaType": "text/plain"},
    ),
    "image.processed": (
        ImageProcessed(operation="grayscale", format="png", width=640, height=480, duration=0.02),
        {"operation": "grayscale", "format": "png", "width": 640, "height": 480, "duration": 0.02},
    ),
    "key.revoked": (KeyRevoked(key_id="key_1", revoked_by="root"), {"keyId": "key_1", "revokedBy": "root"}),
    "key.rotated": (
        KeyRotated(key_id="key_1", rotated_by="root", grace=0.5),
        {"keyId": "key_1", "rotatedBy": "root", "grace": 0.5},
    ),
}


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest) -> Example:
    return EXAMPLES[request.param]


@pytest.fixture
def examples() -> dict[str, Example]:
    return EXAMPLES
