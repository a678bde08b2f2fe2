"""The sandbox's side of HTTP: plain ASGI, so that it starts at once. Reads calls, refuses malformed ones, answers."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY: Final = 64 * 1024


class Refused(Exception):
    """Ends a call with this status and code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Gone(Exception):
    """The caller hung up before there was an answer."""


async def silence(receive: Receive) -> None:
    """Keeps the caller waiting until it gives up."""
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Gone


async def read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > MAX_BODY:
            raise Refused(413, "too_large", f"a body has at most {MAX_BODY} bytes")
    return body


async def answer(send: Send, status: int, body: Mapping[str, Any]) -> None:
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def members_of(body: bytes) -> dict[str, Any]:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "malformed_json", "the body is not JSON") from error
    if not isinstance(members, dict):
        raise Refused(422, "not_an_object", "the body is not an object")
    return members


def call_of(members: Mapping[str, Any]) -> tuple[str, int, str, str]:
    order_id, amount, currency = members.get("orderId"), members.get("amount"), members.get("currency")
    token = members.get("paymentToken")
    if not (isinstance(order_id, str) and 0 < len(order_id) <= 64):
        raise Refused(422, "order_id_invalid", "orderId is text of 1 to 64 characters")
    if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
        raise Refused(422, "amount_invalid", "amount is a whole number of minor units from 1")
    if not (isinstance(currency, str) and len(currency) == 3):
        raise Refused(422, "currency_invalid", "currency is an ISO 4217 code")
    if not isinstance(token, str):
        raise Refused(422, "token_unknown", "no such payment token")
    return order_id, amount, currency, token


def number(value: Any, name: str, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise Refused(422, "settings_invalid", f"{name} is a number from 0 to {most:g}")
    return float(value)
