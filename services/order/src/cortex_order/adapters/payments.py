"""The payment provider over HTTP, and the policy around it.

`HttpPayments` makes one call and says in the port's words how it went; `GuardedPayments` makes it through a policy: how
often, how many at a time, and not at all while the provider is known to be down.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar

from cortex_core.chassis import Reply, UpstreamTimeout, UpstreamUnavailable
from cortex_core.resilience import Policy, Refusal, is_transient
from cortex_order.domain import Money, OrderId, PaymentToken
from cortex_order.ports import (
    PaymentDeclined,
    Payments,
    PaymentThrottled,
    PaymentTimeout,
    PaymentUnavailable,
    PaymentUnwanted,
    Wanted,
)

P = ParamSpec("P")
T = TypeVar("T")

_DECLINED = frozenset({402, 422})  # said no to this payment; other refusals are about us, not about the customer


class Http(Protocol):
    """`cortex_core.chassis.ServiceClient`, as far as it is needed here."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        retry: bool = True,
    ) -> Reply: ...


class HttpPayments:
    """One attempt a call, at most `timeout` seconds long. The order's id is the idempotency key."""

    def __init__(self, http: Http, url: str, *, timeout: float) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._timeout = timeout

    async def charge(self, order_id: OrderId, total: Money, token: PaymentToken) -> str:
        call = {
            "orderId": order_id,
            "amount": total.amount,
            "currency": total.currency,
            "paymentToken": token.secret,
        }
        reply = await self._post("/charges", call, {"Idempotency-Key": order_id})
        if reply.status in _DECLINED:
            raise PaymentDeclined(f"the provider declined the payment of {order_id}")
        return _charge_id(_accepted(reply))

    async def void(self, order_id: OrderId) -> None:
        _accepted(await self._post(f"/charges/{order_id}/void", {}, {}))

    async def _post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
        try:
            return await self._http.request(
                "POST", self._url + path, json=body, headers=headers, timeout=self._timeout, retry=False
            )
        except UpstreamTimeout as error:
            raise PaymentTimeout(f"the payment provider did not answer within {self._timeout} s") from error
        except UpstreamUnavailable as error:
            raise PaymentUnavailable("the payment provider is not there", retry_after=error.retry_after) from error


def _accepted(reply: Reply) -> Reply:
    if reply.status in {200, 201}:
        return reply
    trouble = PaymentThrottled if reply.status == 429 else PaymentUnavailable
    raise trouble(f"the payment provider answered {reply.status}", retry_after=reply.retry_after)


def _charge_id(reply: Reply) -> str:
    try:
        charge_id = reply.json()["chargeId"]
    except (ValueError, KeyError, TypeError) as error:
        raise PaymentUnavailable("the payment provider's answer makes no sense") from error
    if not isinstance(charge_id, str) or not 0 < len(charge_id) <= 128:
        raise PaymentUnavailable("the payment provider's answer names no charge")
    return charge_id


class GuardedPayments:
    """`payments` through `policy`, which may wait and try again (each call is idempotent), and each attempt through
    `circuit`. What they refuse is a provider that is not there; every error says how many calls on the way to it were
    met with silence. Between the two, where all waiting is over, a charge is given up that is not `wanted` any more:
    outside of the circuit, for neither that nor a database in trouble says anything about the provider."""

    def __init__(self, payments: Payments, policy: Policy, circuit: Policy, wanted: Wanted) -> None:
        self._payments = payments
        self._policy = policy
        self._circuit = circuit
        self._wanted = wanted

    async def charge(self, order_id: OrderId, total: Money, token: PaymentToken) -> str:
        async def charge() -> str:
            if not await self._wanted(order_id):
                raise PaymentUnwanted(order_id)
            return await self._circuit.execute(self._payments.charge, order_id, total, token)

        return await self._guarded(charge)

    async def void(self, order_id: OrderId) -> None:
        await self._guarded(self._circuit.execute, self._payments.void, order_id)

    async def _guarded(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        silent = 0

        async def attempt() -> T:
            nonlocal silent
            try:
                return await call(*args, **kwargs)
            except PaymentTimeout:
                silent += 1
                raise

        try:
            return await self._policy.execute(attempt)
        except Refusal as refusal:
            message = f"the payment provider is not asked now: {refusal.message}"
            raise PaymentUnavailable(message, silent=silent, retry_after=refusal.retry_after) from refusal
        except PaymentUnavailable as error:
            error.silent = silent
            raise


def is_worth_it(error: Exception) -> bool:
    """For the policy's retry. What a block of ours refused is put off instead: waiting here would hold a place for as
    long as the circuit is open."""
    return is_transient(error) and not isinstance(error, Refusal)
