"""The web console at `/`: one page, its style and its modules, as files; there is no build step.

Owns the page (a new nonce each time it is sent, never stored) and its content policy. `assets.py` has the files under
`/console/assets/<hash>/`. Everything the page shows comes from the public API:
the console can do nothing that a client could not.
"""

from cortex_gateway.console.assets import UNCOUNTED
from cortex_gateway.console.page import console_routes

__all__ = ["UNCOUNTED", "console_routes"]
