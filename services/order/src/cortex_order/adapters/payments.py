"""The payment provider over HTTP, and the policy around it.

`HttpPayments` makes one call and says in the port's words how it went; `RetryingPayments` decides how often. Next:
breaker and bulkhead join the policy without either noticing.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from cortex_core.chassis import Reply, UpstreamTimeout, UpstreamUnavailable
from cortex_core.resilience import RetryExecutor
from cortex_order.domain import Money, OrderId, PaymentToken
from cortex_order.ports import PaymentDeclined, Payments, PaymentTimeout, PaymentUnavailable

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
            raise PaymentUnavailable("the payment provider is not there") from error


def _accepted(reply: Reply) -> Reply:
    if reply.status in {200, 201}:
        return reply
    raise PaymentUnavailable(f"the payment provider answered {reply.status}", retry_after=reply.retry_after)


def _charge_id(reply: Reply) -> str:
    try:
        charge_id = reply.json()["chargeId"]
    except (ValueError, KeyError, TypeError) as error:
        raise PaymentUnavailable("the payment provider's answer makes no sense") from error
    if not isinstance(charge_id, str) or not 0 < len(charge_id) <= 128:
        raise PaymentUnavailable("the payment provider's answer names no charge")
    return charge_id


class RetryingPayments:
    """`payments`, asked again as `retry` says. Safe because each call is idempotent."""

    def __init__(self, payments: Payments, retry: RetryExecutor) -> None:
        self._payments = payments
        self._retry = retry

    async def charge(self, order_id: OrderId, total: Money, token: PaymentToken) -> str:
        return await self._retry.execute(self._payments.charge, order_id, total, token)

    async def void(self, order_id: OrderId) -> None:
        await self._retry.execute(self._payments.void, order_id)
