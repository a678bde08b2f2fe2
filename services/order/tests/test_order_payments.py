"""The provider over HTTP: every way a call can go becomes one of the port's three errors, or a charge."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from cortex_core.chassis import Reply, ServiceClient
from cortex_core.testing import free_port, serving
from cortex_order.adapters.payments import HttpPayments
from cortex_order.domain import Currency, Money, OrderId, PaymentToken
from cortex_order.ports import PaymentDeclined, PaymentThrottled, PaymentTimeout, PaymentUnavailable
from cortex_order.sandbox import Sandbox

ORDER = OrderId("ord_" + "0" * 32)
TOTAL = Money(2500, Currency("EUR"))


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(latency=0.0)


@pytest.fixture
async def http() -> AsyncIterator[ServiceClient]:
    client = ServiceClient(connect_timeout=10.0)
    yield client
    await client.aclose()


@pytest.fixture
async def payments(sandbox: Sandbox, http: ServiceClient) -> AsyncIterator[HttpPayments]:
    async with serving(sandbox) as session:
        yield HttpPayments(http, f"{session._base_url}", timeout=10.0)


async def test_a_charge_is_made_under_the_orders_id(payments: HttpPayments, sandbox: Sandbox) -> None:
    first = await payments.charge(ORDER, TOTAL, PaymentToken("tok_ok"))
    again = await payments.charge(ORDER, TOTAL, PaymentToken("tok_ok"))

    assert first == again
    (charge,) = sandbox.accounts[ORDER].charges.items()
    assert charge == (
        ORDER,
        {"chargeId": first, "orderId": ORDER, "amount": 2500, "currency": "EUR", "status": "charged"},
    )


@pytest.mark.parametrize(
    ("token", "error"),
    [
        ("tok_declined", PaymentDeclined),
        ("tok_nobody", PaymentDeclined),
        ("tok_flaky", PaymentUnavailable),
        ("tok_timeout", PaymentTimeout),
    ],
)
async def test_what_goes_wrong_is_said_in_the_ports_words_and_without_the_token(
    payments: HttpPayments, token: str, error: type[Exception]
) -> None:
    if error is PaymentTimeout:
        payments._timeout = 0.1  # nobody answers: there is nothing to be patient for
    with pytest.raises(error) as caught:
        await payments.charge(ORDER, TOTAL, PaymentToken(token))

    assert token not in repr(caught.value) + repr(caught.value.__cause__)


async def test_a_void_reaches_the_provider(payments: HttpPayments, sandbox: Sandbox) -> None:
    await payments.charge(ORDER, TOTAL, PaymentToken("tok_ok"))

    await payments.void(ORDER)

    assert sandbox.accounts[ORDER].voided


async def test_a_provider_that_is_not_there_is_unavailable(http: ServiceClient) -> None:
    payments = HttpPayments(http, f"http://127.0.0.1:{free_port()}", timeout=10.0)

    with pytest.raises(PaymentUnavailable):
        await payments.charge(ORDER, TOTAL, PaymentToken("tok_ok"))
    with pytest.raises(PaymentUnavailable):
        await payments.void(ORDER)


class Answering:
    """An HTTP client that always gets this."""

    def __init__(self, status: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> None:
        self.reply = Reply(status, headers or {}, body)

    async def request(self, *_: Any, **__: Any) -> Reply:
        return self.reply


@pytest.mark.parametrize("status", [302, 400, 401, 404, 409, 429, 500, 503])
async def test_an_answer_that_says_nothing_about_the_payment_declines_nothing(status: int) -> None:
    payments = HttpPayments(Answering(status), "http://provider", timeout=1.0)

    with pytest.raises(PaymentUnavailable, match=str(status)):
        await payments.charge(ORDER, TOTAL, PaymentToken("tok_ok"))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"chargeId":5}', b'{"chargeId":""}', b'{"chargeId":"%s"}' % (b"x" * 200)]
)
async def test_a_success_that_names_no_charge_is_none(body: bytes) -> None:
    payments = HttpPayments(Answering(201, body), "http://provider", timeout=1.0)

    with pytest.raises(PaymentUnavailable):
        await payments.charge(ORDER, TOTAL, PaymentToken("tok_ok"))


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("²", None), ("-1", None)])
async def test_the_provider_may_say_when_to_come_back(value: str, seconds: float | None) -> None:
    payments = HttpPayments(Answering(503, headers={"Retry-After": value}), "http://provider", timeout=1.0)

    with pytest.raises(PaymentUnavailable) as caught:
        await payments.charge(ORDER, TOTAL, PaymentToken("tok_ok"))

    assert caught.value.retry_after == seconds


async def test_too_many_calls_are_told_from_a_provider_in_trouble() -> None:
    payments = HttpPayments(Answering(429, headers={"Retry-After": "7"}), "http://provider", timeout=1.0)

    with pytest.raises(PaymentThrottled) as caught:
        await payments.charge(ORDER, TOTAL, PaymentToken("tok_ok"))

    assert caught.value.retry_after == 7.0
