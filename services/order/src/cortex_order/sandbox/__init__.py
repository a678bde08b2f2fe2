"""A payment provider to develop against: HTTP like a real one, with latency, failures and lost answers to order.

`python -m cortex_order.sandbox [--host H] [--port N] [--latency S] [--failure-rate R]`, or the same as SANDBOX_HOST,
SANDBOX_PORT, SANDBOX_LATENCY (seconds, 0.1), SANDBOX_FAILURE_RATE (0 … 1, of `tok_random`, 0.1). It moves no money, so
it refuses to start in production; it knows nothing of the service but what goes over the wire, and holds all that in
memory: the newest MAX_ORDERS orders.

    POST /charges                  {orderId, amount, currency, paymentToken} and Idempotency-Key → 201, 402, 422, 503
    GET  /charges/{orderId}        every charge made for the order, and how often it was called for
    POST /charges/{orderId}/void   from then on no charge of the order stands, or can be made
    GET  /settings · PUT /settings {latency, failureRate}
    GET  /health/live · /health/ready

What a token does: `tok_ok` is charged; `tok_declined` gets 402; `tok_flaky` gets 503 twice an order, then is charged;
`tok_timeout` never gets an answer; `tok_random` gets 503 for `failureRate` of its calls; any other gets 422.
"""

from cortex_order.sandbox.app import Sandbox

__all__ = ["Sandbox"]
