"""The express lane: forwarded routes, and a few of our own, answered on the connection, without the application.

`protocol.py` decides which lane a request takes; what is unusual goes to the application, where every refusal lives.
"""

from cortex_gateway.dataplane.assembly import make_data_plane
from cortex_gateway.dataplane.plane import DataPlane
from cortex_gateway.dataplane.protocol import ExpressProtocol

__all__ = ["DataPlane", "ExpressProtocol", "make_data_plane"]
