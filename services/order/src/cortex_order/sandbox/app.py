"""What the provider does with a call: its tokens, its charges, its memory."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cortex_order.sandbox import wire
from cortex_order.sandbox.wire import Gone, Receive, Refused, Scope, Send

Answer = tuple[int, dict[str, Any]]

MAX_ORDERS: Final = 200_000
MAX_LATENCY: Final = 3600.0
FLAKY_FAILURES: Final = 2


@dataclass(slots=True)
class Account:
    """What the provider knows of one order. Charges are kept by idempotency key: two keys would be two charges."""

    charges: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: int = 0
    voided: bool = False


@dataclass(slots=True)
class Sandbox:
    """The ASGI application. `latency` in seconds, `failure_rate` from 0 to 1; `sleep` and `rng` are for tests."""

    latency: float = 0.1
    failure_rate: float = 0.1
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)
    accounts: dict[str, Account] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await wire.lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body = await self._route(scope, await wire.read(receive), receive)
        except Refused as refused:
            status, body = refused.status, {"code": refused.code, "message": refused.message}
        except Gone:
            return  # nobody is left to be answered
        await wire.answer(send, status, body)

    async def _route(self, scope: Scope, body: bytes, receive: Receive) -> Answer:
        match (scope["method"], scope["path"].strip("/").split("/")):
            case ("POST", ["charges"]):
                return await self._charge(wire.header(scope, b"idempotency-key"), wire.members_of(body), receive)
            case ("GET", ["charges", order_id]):
                return self._show(order_id)
            case ("POST", ["charges", order_id, "void"]):
                return self._void(order_id)
            case ("GET", ["settings"]):
                return 200, self._settings()
            case ("PUT", ["settings"]):
                return self._set(wire.members_of(body))
            case ("GET", ["health", "live" | "ready"]):
                return 200, {"status": "up"}
        raise Refused(404, "not_found", f"no {scope['method']} {scope['path']} here")

    async def _charge(self, key: str, call: Mapping[str, Any], receive: Receive) -> Answer:
        order_id, amount, currency, token = wire.call_of(call)
        if not key:
            raise Refused(400, "idempotency_key_missing", "say which charge this is: Idempotency-Key")
        account = self._account(order_id)
        account.calls += 1
        attempt = account.calls
        if token == "tok_timeout":  # noqa: S105 - a name for a behaviour, not a secret
            await wire.silence(receive)
        await self.sleep(self.latency)

        # No await from here on: two calls with one key cannot both find nothing.
        known = account.charges.get(key)
        if known is not None:
            if (known["amount"], known["currency"]) != (amount, currency):
                raise Refused(422, "idempotency_mismatch", "this key was used for another charge")
            return 200, known
        if account.voided:
            raise Refused(402, "charge_voided", "this order's charges were voided")
        self._judge(token, attempt)
        charge = {"chargeId": f"ch_{uuid.uuid4().hex}", "orderId": order_id, "amount": amount, "currency": currency}
        account.charges[key] = {**charge, "status": "charged"}
        return 201, account.charges[key]

    def _judge(self, token: str, attempt: int) -> None:
        """Returns where the token's charge is to be made. Raises Refused."""
        match token:
            case "tok_ok":
                return
            case "tok_declined":
                raise Refused(402, "card_declined", "the card was declined")
            case "tok_flaky" if attempt <= FLAKY_FAILURES:
                raise Refused(503, "try_again", "out of order for a moment")
            case "tok_flaky":
                return
            case "tok_random":
                if self.rng.random() < self.failure_rate:
                    raise Refused(503, "try_again", "out of order for a moment")
                return
        raise Refused(422, "token_unknown", "no such payment token")

    def _show(self, order_id: str) -> Answer:
        account = self.accounts.get(order_id)
        if account is None:
            raise Refused(404, "not_found", "nothing is known of this order")
        charges = list(account.charges.values())
        return 200, {"orderId": order_id, "charges": charges, "calls": account.calls, "voided": account.voided}

    def _void(self, order_id: str) -> Answer:
        account = self._account(order_id)
        account.voided = True
        for charge in account.charges.values():
            charge["status"] = "voided"
        return 200, {"orderId": order_id, "voided": True}

    def _account(self, order_id: str) -> Account:
        account = self.accounts.setdefault(order_id, Account())
        if len(self.accounts) > MAX_ORDERS:
            del self.accounts[next(iter(self.accounts))]
        return account

    def _settings(self) -> dict[str, Any]:
        return {"latency": self.latency, "failureRate": self.failure_rate}

    def _set(self, wanted: Mapping[str, Any]) -> Answer:
        unknown = wanted.keys() - {"latency", "failureRate"}
        if unknown:
            raise Refused(422, "settings_unknown", f"no such settings: {', '.join(sorted(unknown))}")
        latency = wire.number(wanted.get("latency", self.latency), "latency", MAX_LATENCY)
        failure_rate = wire.number(wanted.get("failureRate", self.failure_rate), "failureRate", 1.0)
        self.latency, self.failure_rate = latency, failure_rate
        return 200, self._settings()
