"""Live connections without their transport: who is there, what waits for each, and who is cut for not keeping up.

Standard library only; knows no WebSocket, no bus, no event. Next: rooms, history and recovery of what a client missed.
"""

from cortex_core.realtime.allowance import Allowance
from cortex_core.realtime.connection import TOO_SLOW, Closing, Connection
from cortex_core.realtime.connections import Connections, ConnectionsClosed, TooManyConnections, TooManyOfOne
from cortex_core.realtime.hooks import ConnectionDetails, OnConnection

__all__ = [
    "TOO_SLOW",
    "Allowance",
    "Closing",
    "Connection",
    "ConnectionDetails",
    "Connections",
    "ConnectionsClosed",
    "OnConnection",
    "TooManyConnections",
    "TooManyOfOne",
]
