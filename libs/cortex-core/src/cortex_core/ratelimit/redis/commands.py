"""Calls as bytes: what is the same for every call of a policy is packed once (RESP2,
https://redis.io/docs/latest/develop/reference/protocol-spec/).

Owns how keys are named: `cortex:limit:<policy>:<key>`, bounded in length whatever a client sent. In a cluster all keys
of a command must share a slot, and calls of several clients travel as one: give a `namespace` with a hash tag there
(`{limits}`), which puts all keys on one slot. A brace in a key never makes one.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from cortex_core.ratelimit.limiter import Demand
from cortex_core.ratelimit.policies import EXACT, GRAINS, FixedWindow, Policy, SlidingWindow
from cortex_core.ratelimit.redis.scripts import DECIDE, DIGEST

_LONGEST: Final = 64
_PLAIN: Final = re.compile(rf"[A-Za-z0-9._:@/-]{{1,{_LONGEST}}}", re.ASCII)


def packed(*words: str | bytes) -> bytes:
    """One command."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word if isinstance(word, bytes) else word.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


LOAD: Final = packed("SCRIPT", "LOAD", DECIDE)
PROBE: Final = packed("EVALSHA", DIGEST, "0", "1")
"""Decides nothing, and says whether decisions could be made."""


def decide(namespace: str, demands: Sequence[Demand], cost: int) -> bytes:
    """One call: all demands admit, and are charged, or none is."""
    arguments = [str(cost), *(word for policy, _ in demands for word in _terms(policy))]
    keys = [key_word(prefix(namespace, policy), key) for policy, key in demands]
    return b"".join((_head(len(keys), len(arguments)), *keys, *(_word(argument.encode()) for argument in arguments)))


def decide_each(keys: Sequence[bytes], tail: bytes) -> bytes:
    """A call for each of `keys`, under one policy and of one cost, decided one after the other. See `each_tail`."""
    return b"".join((_head(len(keys), 5), *keys, tail))


@lru_cache(maxsize=1024)
def each_tail(policy: Policy, cost: int) -> bytes:
    return b"".join(_word(word.encode()) for word in (str(cost), *_terms(policy)))


@lru_cache(maxsize=1024)
def prefix(namespace: str, policy: Policy) -> str:
    """What the names of all keys under a policy begin with."""
    return f"{namespace}:limit:{policy.id}:"


def key_word(prefix: str, key: str) -> bytes:
    """A key's name, as a word of a command."""
    return _known(prefix, key) if len(key) <= _LONGEST else _named(prefix, key)


def _named(prefix: str, key: str) -> bytes:
    if not _PLAIN.fullmatch(key):
        key = "#" + blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return _word(f"{prefix}{key}".encode())


_known = lru_cache(maxsize=65_536)(_named)  # of short keys only: a client chooses how long its key is


@lru_cache(maxsize=1024)
def _head(keys: int, arguments: int) -> bytes:
    """What stands before the keys."""
    return b"*%d\r\n" % (3 + keys + arguments) + b"".join(
        _word(word.encode()) for word in ("EVALSHA", DIGEST, str(keys))
    )


def _terms(policy: Policy) -> tuple[str, str, str, str]:
    """Kind, limit, span and grain as the script takes them."""
    if isinstance(policy, FixedWindow):
        return "f", str(policy.limit), str(_microseconds(policy.window)), "1"
    if isinstance(policy, SlidingWindow):
        span = _microseconds(policy.window)
        return "s", str(policy.limit), str(span), str(1 if policy.limit <= EXACT else max(1, span // GRAINS))
    return "b", str(policy.burst), f"{policy.interval * 1e6:.6f}", "1"


def _microseconds(seconds: float) -> int:
    return max(1, -(-round(seconds * 1e9) // 1000))


def _word(raw: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(raw), raw)
