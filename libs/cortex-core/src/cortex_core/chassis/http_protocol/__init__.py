"""The server's side of HTTP/1.1: uvicorn's protocol class over httptools, with guards, and a seam to take over.

Owns what a connection may do before an application is asked: how long it may take (`watch.py`), how much it may send
(`limits.py`), what a request's head must look like (`heads.py`), and what is answered where it does not
(`refusals.py`). `protocol.py` puts them on the connection.
"""

from cortex_core.chassis.http_protocol.limits import ConnectionLimits
from cortex_core.chassis.http_protocol.protocol import HttpProtocol, guarded, protocol_class
from cortex_core.chassis.http_protocol.refusals import OnRefusal, Refusal, RefusalDetails

__all__ = ["ConnectionLimits", "HttpProtocol", "OnRefusal", "Refusal", "RefusalDetails", "guarded", "protocol_class"]
