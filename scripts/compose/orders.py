"""Orders placed at a hub, all the time, by a few clients; what was acknowledged is remembered, and asked for at the
end."""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from typing import Any, Final
from urllib.parse import urlsplit

from scripts.compose.project import Failed, until

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
BODY: Final = json.dumps(
    {
        "customerId": "cus_e2e",
        "currency": "EUR",
        "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
        "paymentToken": "tok_ok",
    }
).encode()


def ask(url: str, path: str, body: bytes | None = None, token: str | None = None) -> tuple[int, Any]:
    """Status and JSON body. Raises OSError, http.client.HTTPException."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"{url}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, json.loads(problem.read() or b"null")


class Orders:
    """`with Orders(url) as orders:` places them until the block ends. About `rate` a second."""

    def __init__(self, url: str, *, clients: int = 3, rate: float = 30.0) -> None:
        self.url = url
        self.acknowledged: list[str] = []
        self.refused: Counter[str] = Counter()
        self._pause = min(clients / rate, 0.09 * clients)
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._place, daemon=True) for _ in range(clients)]

    def __enter__(self) -> "Orders":
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for client in self._clients:
            client.join(20)

    def _place(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                status, answer = ask(self.url, "/api/orders", BODY)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.refused[type(error).__name__] += 1
            else:
                if status == 201:
                    self.acknowledged.append(answer["orderId"])
                else:
                    self.refused[str(status)] += 1
            self._over.wait(max(0.0, self._pause - (time.monotonic() - began)))

    def more(self, count: int, seconds: float = 60) -> None:
        """Waits until so many more are acknowledged: the hub works."""
        wanted = len(self.acknowledged) + count
        until(lambda: len(self.acknowledged) >= wanted, f"{count} more orders acknowledged ({self.refused})", seconds)

    def all_end(self, seconds: float = 120) -> Counter[str]:
        """How they ended. Raises Failed where one is lost, or does not end."""
        return all_end(self.url, self.acknowledged, seconds)


def all_end(url: str, orders: list[str], seconds: float = 120, token: str | None = None) -> Counter[str]:
    """Each is there and reaches its end. Raises Failed."""
    waiting, ended, began = set(orders), Counter[str](), time.monotonic()
    while waiting:
        for order in sorted(waiting):
            status, found = ask(url, f"/api/orders/{order}", token=token)
            if status == 404:
                raise Failed(f"{order} was acknowledged and is lost")
            if status == 200 and found["status"] in ENDED:
                ended[found["status"]] += 1
                waiting.discard(order)
        if waiting and time.monotonic() - began > seconds:
            raise Failed(f"after {seconds:g} s {len(waiting)} of {len(orders)} orders have not ended")
    return ended


def counted(url: str, token: str | None = None) -> dict[str, int]:
    """What analytics has heard of."""
    status, found = ask(url, "/api/analytics/metrics", token=token)
    if status != 200:
        raise Failed(f"analytics: {status} {found}")
    return dict(found["orders"])


def upload_slowly(url: str, parts: int, pause: threading.Event, seconds: float, token: str | None = None) -> int:
    """The status of one upload, whose body takes `seconds`; `pause` is set when the first part has gone."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    connection.putrequest("POST", "/api/storage/files")
    connection.putheader("Content-Type", "application/octet-stream")
    connection.putheader("Content-Length", str(parts * 65_536))
    if token:
        connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    for number in range(parts):
        connection.send(bytes([number % 251]) * 65_536)
        if number == 1:
            pause.set()
        time.sleep(seconds / parts)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status
