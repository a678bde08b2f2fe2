"""What a gateway must get right whatever it is built from: which headers travel, and one document out of five."""

from cortex_gateway.domain.forwarding import Headers, end_to_end, request_headers, response_headers, target_of
from cortex_gateway.domain.index import index
from cortex_gateway.domain.openapi import merge

__all__ = ["Headers", "end_to_end", "index", "merge", "request_headers", "response_headers", "target_of"]
