"""The express lane's parts, put together from the platform's and the edge's: one limiter, one tracer, one registry of
metrics for both lanes."""

from collections.abc import Callable
from typing import Final, cast

from cortex_core.asgi.http_cache import Filler
from cortex_core.chassis import Limits, Platform
from cortex_core.chassis.telemetry import RequestMetrics
from cortex_core.kernel import Principal
from cortex_gateway.dataplane.dues import Spender, Tollgate
from cortex_gateway.dataplane.encoding import Encoder
from cortex_gateway.dataplane.filling import Fills
from cortex_gateway.dataplane.heads import Heads
from cortex_gateway.dataplane.local import own_routes
from cortex_gateway.dataplane.plane import Changed, DataPlane, HotAnswers
from cortex_gateway.dataplane.reading import Reader, Strictness
from cortex_gateway.dataplane.records import Records
from cortex_gateway.dataplane.recurring import Recurring
from cortex_gateway.dataplane.table import ExpressTable
from cortex_gateway.domain.provenance import Provenance
from cortex_gateway.ports import Carrier
from cortex_gateway.routes import RouteTable

_ANY: Final = 1 << 62


def make_data_plane(
    platform: Platform,
    routes: RouteTable,
    carrier: Carrier,
    heads: Heads,
    provenance: Provenance,
    *,
    version: str,
    limits: Limits | None = None,
    encoder: Encoder | None = None,
    hot: HotAnswers | None = None,
    filler: Filler | None = None,
    cache: str = "",
    changed: Changed | None = None,
    signed: Callable[[Principal], bytes] | None = None,
    origins: bool = False,
    varies: bool = False,
    shows_policy: bool = False,
) -> DataPlane:
    """`origins`: CORS is on; `varies`: and answers differ by who asks. See `DataPlane` for the others."""
    settings = platform.settings
    requests = RequestMetrics(settings.service, platform.metrics, platform.logger)
    strictness = Strictness(
        tenants=settings.env != "production",
        origins=origins,
        credentials=signed is None,
        pages=settings.serves_anonymous,
    )
    gate = None if limits is None else Tollgate(cast("Spender", limits.limiter), limits.rules, limits.exempt)
    return DataPlane(
        table=ExpressTable(routes, own_routes(version, platform.clock)),
        reader=Reader(strictness, provenance),
        carrier=carrier,
        heads=heads,
        records=Records(platform.metrics, requests, platform.logger, platform.tracer),
        recall=platform.authenticator.remembered,
        epoch=platform.authenticator.memo,
        signed=signed,
        gate=gate,
        hot=hot,
        fills=None if filler is None else Fills(filler),
        encoder=encoder,
        recurring=None if encoder is None else Recurring(encoder),
        untouched_below=_ANY if encoder is None else encoder.untouched_below,
        cache=cache.encode(),
        changed=changed,
        drain=platform.drain,
        everywhere=b"vary: Origin\r\n" if varies else b"",
        shows_policy=shows_policy,
        local_fields=b"content-type: application/json\r\n"
        + (b"cache-status: %b; fwd=bypass; fwd-status=200\r\n" % cache.encode() if cache else b""),
    )
