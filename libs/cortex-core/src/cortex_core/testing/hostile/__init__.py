"""HTTP/1.1 requests that a strict server refuses (RFC 9110, RFC 9112), and some unusual ones that it serves.

`HOSTILE` and `GOOD` are data: what to send, and with which statuses a server answers it before it closes. `exchange`
sends them over a real socket, whole or in pieces, and reads what comes strictly. Every hostile one is followed by a
request to `/smuggled`, which nobody must ever see.
"""

from typing import Final

from cortex_core.testing.hostile.bodies import BODIES
from cortex_core.testing.hostile.connections import CONNECTIONS
from cortex_core.testing.hostile.entries import SMUGGLED, Hostile
from cortex_core.testing.hostile.framing import FRAMING
from cortex_core.testing.hostile.good import GOOD, Good
from cortex_core.testing.hostile.heads import HEADERS, HOSTS, LINES, TARGETS
from cortex_core.testing.hostile.wire import Answer, Recorder, exchange, in_pieces

HOSTILE: Final = (*LINES, *TARGETS, *HOSTS, *HEADERS, *FRAMING, *BODIES, *CONNECTIONS)

__all__ = ["GOOD", "HOSTILE", "SMUGGLED", "Answer", "Good", "Hostile", "Recorder", "exchange", "in_pieces"]
