"""The bodies are the same on every machine, so that ratios travel."""

import hashlib

from benchmarks import payloads


def test_the_bodies_are_the_same_in_every_run() -> None:
    bodies = (payloads.orders(), payloads.page(), *payloads.log_chunks(), *payloads.row_chunks())

    assert hashlib.sha256(b"\0".join(bodies)).hexdigest()[:16] == "f9f3b3b24dc56ece"


def test_a_stream_of_log_is_one_mebibyte() -> None:
    assert sum(map(len, payloads.log_chunks())) == 1 << 20
