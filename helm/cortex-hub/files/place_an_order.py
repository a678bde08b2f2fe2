"""Places one order at a hub's gateway and follows it until it is completed: what `helm test` runs. Standard library.

    python place_an_order.py http://hub-gateway:3000 TOKEN_FILE SECONDS

Exits 0 when the order was completed in time, else 1 with one line.
"""

import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

ORDER = {
    "customerId": "helm-test",
    "currency": "EUR",
    "items": [{"sku": "helm-test", "quantity": 1, "unitPrice": 2500}],
    "paymentToken": "tok_ok",
}


def main(gateway: str, token_file: str, seconds: str) -> None:
    token = Path(token_file).read_text().strip()
    until = time.monotonic() + float(seconds)
    key = str(uuid.uuid4())
    order = asked_until(until, f"{gateway}/api/orders", token, ORDER, key)
    while order["status"] not in {"completed", "failed", "cancelled"}:
        if time.monotonic() > until:
            fail(f"order {order['orderId']} is still {order['status']} after {seconds} s")
        time.sleep(0.2)
        order = asked_until(until, f"{gateway}/api/orders/{order['orderId']}", token)
    if order["status"] != "completed":
        fail(f"order {order['orderId']} is {order['status']}: {order.get('reason', 'no reason given')}")
    print(f"order {order['orderId']} was placed and completed")


def asked_until(until: float, url: str, token: str, body: Any = None, key: str = "") -> Any:
    """Tries again where the hub is not ready or cannot be reached; the key makes the same order of it."""
    while True:
        try:
            return asked(url, token, body, key)
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(500).decode(errors="replace")
            if error.code < 500 or time.monotonic() > until:
                fail(f"{url} answered {error.code}: {said}")
        except OSError as error:
            if time.monotonic() > until:
                fail(f"{url} cannot be reached: {error}")
        time.sleep(1)


def asked(url: str, token: str, body: Any, key: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
        request.add_header("Idempotency-Key", key)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def fail(line: str) -> None:
    print(line, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
