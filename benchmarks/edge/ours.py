"""Our gateway as a real process with everything on: a verified JWT, the limiter on a real Redis, metrics, 1 % of the
traces to a collector, access lines, security headers, compression, the cache. And the proof that they were on.
"""

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks.edge.collector import Collector
from benchmarks.processes import fetched, program
from cortex_core.testing.ports import free_port
from cortex_core.testing.redis_server import RedisServer

LIMIT: Final = 10**9  # a minute: counted for each request, and never refusing
RATIO: Final = 0.01
_ISSUER, _AUDIENCE = "https://issuer.bench.example", "cortex-bench"
_PATIENCE: Final = 10.0  # seconds for the spans to arrive, which leave in batches
_PROMISED: Final = ("content-security-policy", "x-content-type-options", "x-request-id", "ratelimit-policy")


@dataclass(frozen=True, slots=True)
class Keys:
    """What tokens are signed by and verified with, as files; and one token."""

    jwks: Path
    internal: Path
    token: str


def make_keys(folder: Path) -> Keys:
    key = ECKey.generate_key("P-256", {"kid": "bench-1", "use": "sig", "alg": "ES256"})
    internal = ECKey.generate_key("P-256", {"kid": "bench-internal-1", "use": "sig", "alg": "ES256"})
    jwks, private = folder / "jwks.json", folder / "internal.json"
    jwks.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    private.write_text(json.dumps(internal.as_dict(private=True)))
    private.chmod(0o600)
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "aud": _AUDIENCE,
        "sub": "bench",
        "client_id": "bench",
        "jti": "bench-1",
        "iat": now,
        "nbf": now,
        "exp": now + 7200,
        "scope": "orders:read orders:write files:read",
        "roles": ["operator"],
    }
    token = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "bench-1"}, claims, key)
    return Keys(jwks, private, token)


@contextmanager
def gateway(upstream: int, keys: Keys, redis: RedisServer, collector: Collector) -> Iterator[tuple[str, int, str]]:
    """Its address, its process id, and where its figures are. All its services are the one behind `upstream`."""
    port, figures = free_port(), free_port()
    env = {
        "CORTEX_ENV": "production",
        "CORTEX_REDIS_URL": redis.url,
        "CORTEX_TRACE_SAMPLE_RATIO": str(RATIO),
        "CORTEX_JWKS": str(keys.jwks),
        "CORTEX_TOKEN_ISSUER": _ISSUER,
        "CORTEX_TOKEN_AUDIENCE": _AUDIENCE,
        "CORTEX_INTERNAL_SIGNING_KEY": str(keys.internal),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "GATEWAY_PORT": str(port),
        "GATEWAY_METRICS_PORT": str(figures),
        "GATEWAY_RATE_LIMIT_PER_MINUTE": str(LIMIT),
        "GATEWAY_PLANS": f"standard={LIMIT}/min",  # a user's limit is his plan's
        **{
            f"GATEWAY_{name}_URL": f"http://127.0.0.1:{upstream}"
            for name in ("ORDER", "NOTIFICATION", "ANALYTICS", "STORAGE", "COMPUTE")
        },
    }
    with program([sys.executable, "-P", "-m", "cortex_gateway.main"], port, env) as process:
        yield f"http://127.0.0.1:{port}", process.pid, f"http://127.0.0.1:{figures}/metrics"


class Watch:
    """What our gateway has done between two looks: a feature that silently did nothing makes a figure worthless."""

    def __init__(self, address: str, figures: str, path: str, headers: Mapping[str, str], collector: Collector) -> None:
        self._address = address
        self._figures = figures
        self._path = path
        self._headers = headers
        self._collector = collector
        self._counted, self._spans = self._requests(), collector.spans

    def check_headers(self) -> None:
        """Raises SystemExit where an answer lacks what a feature adds to it."""
        told = self._head()
        missing = [name for name in _PROMISED if name not in told]
        if missing:
            raise SystemExit(f"bench: {self._address}{self._path} answers without {', '.join(missing)}")

    def check_limiter(self, requests: int) -> None:
        """Right after a turn of so many. Raises SystemExit where the limiter has not counted them."""
        left = int(self._head()["x-ratelimit-remaining"])
        if LIMIT - left < requests // 2:  # leases and the window's approximation leave room
            raise SystemExit(f"bench: the limiter counted {LIMIT - left} of {requests} requests")

    def check_telemetry(self, requests: int) -> str:
        """After `requests`. Raises SystemExit where metrics or spans are missing; says what there was."""
        counted = self._requests() - self._counted
        if counted < requests:
            raise SystemExit(f"bench: the metrics tell of {counted} of {requests} requests")
        end = time.monotonic() + _PATIENCE
        while self._collector.spans - self._spans < requests * RATIO / 3 and time.monotonic() < end:
            time.sleep(0.05)
        spans = self._collector.spans - self._spans
        if spans < requests * RATIO / 3:
            raise SystemExit(f"bench: {spans} spans arrived for {requests} requests, {RATIO:.0%} of which are sampled")
        return f"{requests:,} requests, {counted:,} counted by the metrics, {spans:,} spans at the collector"

    def _head(self) -> dict[str, str]:
        lines = fetched(self._address + self._path, "-o", os.devnull, "-D", "-", *curled(self._headers)).decode()
        pairs = (line.partition(":") for line in lines.splitlines()[1:] if ":" in line)
        return {name.lower(): value.strip() for name, _, value in pairs}

    def _requests(self) -> int:
        text = fetched(self._figures).decode()
        figures = re.findall(r"^cortex_hub_http_requests_total\{.*\} (\S+)$", text, flags=re.MULTILINE)
        return int(sum(float(figure) for figure in figures))


def curled(headers: Mapping[str, str]) -> list[str]:
    return [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
