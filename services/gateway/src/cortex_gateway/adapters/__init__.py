"""The services, over connections of our own; and what is kept of their answers."""

from cortex_gateway.adapters.announcements import BusAnnouncements
from cortex_gateway.adapters.cross_origin import cors_policy
from cortex_gateway.adapters.kept import KeptAnswers
from cortex_gateway.adapters.policy_header import PolicyHeader
from cortex_gateway.adapters.pool_reporter import PoolReporter
from cortex_gateway.adapters.upstreams import PooledUpstreams

__all__ = ["BusAnnouncements", "KeptAnswers", "PolicyHeader", "PoolReporter", "PooledUpstreams", "cors_policy"]
