"""How long a payment is waited for in these tests, and what a provider does instead of paying."""

from datetime import timedelta

from cortex_order.ports import PaymentTimeout, PaymentUnavailable

WAIT = timedelta(seconds=60)
BACKOFF = timedelta(seconds=7)
DEFERENCE = timedelta(seconds=2)
AWAY = PaymentUnavailable("away")
SILENT = PaymentTimeout("silent", silent=3)
