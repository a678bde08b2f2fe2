"""The control: orders as the plan's gateway takes them: kept in memory, published in memory, acknowledged."""

import sys
import uuid
from typing import Any

import uvicorn
from fastapi import FastAPI

orders: dict[str, dict[str, Any]] = {}
app = FastAPI()


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "up"}


@app.post("/orders", status_code=201)
async def place(order: dict[str, Any]) -> dict[str, Any]:
    order_id = f"ord_{uuid.uuid4().hex}"
    orders[order_id] = {"orderId": order_id, "status": "completed", **order}
    return orders[order_id]


@app.get("/orders")
async def listed(limit: int = 100, cursor: int = 0) -> dict[str, Any]:
    page = list(orders.values())[cursor : cursor + limit]
    return {"orders": page, "nextCursor": cursor + limit if cursor + limit < len(orders) else None}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
