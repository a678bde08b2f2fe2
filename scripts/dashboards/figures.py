"""The figures that panels and alerts read, each named once. An import fails where a service has renamed one."""

from pathlib import Path
from typing import Final

from scripts.dashboards.inventory import from_text
from scripts.dashboards.promql import Figures, Gauge

ROOT: Final = Path(__file__).resolve().parents[2]
INVENTORY: Final = ROOT / "observability" / "metrics.json"

_known: Final = Figures(from_text(INVENTORY.read_text(encoding="utf-8")))
_gauge, _counter, _histogram = _known.gauge, _known.counter, _known.histogram

UP: Final = Gauge("up", "gauge", frozenset(), "1 where Prometheus could scrape it")  # Prometheus' own

# Every service
READY: Final = _gauge("cortex_hub_ready")
BUILD: Final = _gauge("cortex_hub_build_info")
REQUESTS: Final = _counter("cortex_hub_http_requests_total")
SECONDS: Final = _histogram("cortex_hub_http_request_duration_seconds")
REFUSED: Final = _counter("cortex_hub_http_refused_total")
MEMORY: Final = _gauge("process_resident_memory_bytes")
CPU: Final = _counter("process_cpu_seconds_total")
STARTED: Final = _gauge("process_start_time_seconds")
WORKER_DEATHS: Final = _counter("cortex_worker_deaths_total")
OPEN_FDS: Final = _gauge("process_open_fds")
MAX_FDS: Final = _gauge("process_max_fds")
OVERFLOW: Final = _counter("cortex_hub_metric_overflow_total")
AUTH: Final = _counter("cortex_auth_total")
AUTH_FAILURES: Final = _counter("cortex_auth_failures_total")

# Resilience
CIRCUIT: Final = _gauge("cortex_circuit_breaker_state")
CIRCUIT_CHANGES: Final = _counter("cortex_circuit_breaker_changes_total")
CIRCUIT_REJECTIONS: Final = _counter("cortex_circuit_breaker_rejections_total")
RETRIES: Final = _counter("cortex_retries_total")
GIVEN_UP: Final = _counter("cortex_retries_given_up_total")
TURNED_AWAY: Final = _counter("cortex_bulkhead_rejections_total")
TIMEOUTS: Final = _counter("cortex_timeouts_total")

# The bus
DELIVERIES: Final = _counter("cortex_bus_deliveries_total")
BUS_ERRORS: Final = _counter("cortex_bus_errors_total")
GAP_EVENTS: Final = _counter("cortex_bus_gap_events_total")
STRAINS: Final = _counter("cortex_bus_strains_total")
LAG_ENTRIES: Final = _gauge("cortex_bus_lag_entries")
LAG_SECONDS: Final = _gauge("cortex_bus_lag_seconds")
DEAD_LETTERS: Final = _gauge("cortex_bus_dead_letters")

# Outbox, relay, projections
OUTBOX_PENDING: Final = _gauge("cortex_hub_outbox_pending")
OUTBOX_AGE: Final = _gauge("cortex_hub_outbox_oldest_seconds")
RELAYED: Final = _counter("cortex_relay_messages_total")
RELAY_LEADER: Final = _gauge("cortex_relay_leader")
RELAY_ERRORS: Final = _counter("cortex_relay_errors_total")
RELAY_LOSSES: Final = _counter("cortex_relay_losses_total")
PROJECTION_SECONDS: Final = _gauge("cortex_projection_lag_seconds")
PROJECTION_PARKED: Final = _gauge("cortex_projection_parked")
PROJECTION_TROUBLES: Final = _counter("cortex_projection_troubles_total")
PROJECTED: Final = _counter("cortex_projection_events_total")

# The gateway
LANES: Final = _counter("cortex_gateway_lane_total")
UPSTREAM_CONNECTIONS: Final = _gauge("cortex_upstream_connections")
UPSTREAM_OUTSTANDING: Final = _gauge("cortex_upstream_outstanding")
GATEWAY_SOCKETS: Final = _gauge("cortex_gateway_websockets_open")
EJECTIONS: Final = _counter("cortex_upstream_ejections_total")
LIMITED: Final = _counter("cortex_rate_limit_refusals_total")
LIMIT_OUTAGE: Final = _gauge("cortex_rate_limit_outage")
CACHED: Final = _counter("cortex_http_cache_answers_total")
COMPRESSED: Final = _counter("cortex_compression_bytes_total")

# Orders, sockets, images
ACTIVE_ORDERS: Final = _gauge("cortex_hub_active_orders")
ORDERS_CREATED: Final = _counter("cortex_hub_orders_created_total")
ORDERS_ENDED: Final = _counter("cortex_hub_orders_ended_total")
PROCESSING: Final = _histogram("cortex_hub_order_processing_seconds")
TRANSITIONS: Final = _counter("cortex_hub_order_transitions_total")
CLOSED_SECONDS: Final = _histogram("cortex_hub_order_closed_seconds")
CORRUPT: Final = _counter("cortex_hub_orders_corrupt_total")
PUT_OFF: Final = _counter("cortex_hub_orders_put_off_total")
ACTORS: Final = _gauge("cortex_actors_active")
ACTOR_STARTS: Final = _counter("cortex_actors_started_total")
ACTOR_FAILURES: Final = _counter("cortex_actors_failures_total")
SOCKETS: Final = _gauge("cortex_hub_websocket_connections")
SOCKETS_CLOSED: Final = _counter("cortex_hub_websocket_closed_total")
IMAGES: Final = _histogram("cortex_hub_image_processing_seconds")
IMAGE_QUEUE: Final = _gauge("cortex_hub_image_queue_depth")
IMAGE_EVENTS_LOST: Final = _counter("cortex_hub_image_events_dropped_total")
