"""`scripts/` is no installed package. What needs an engine is asked for by `make e2e-compose`, never by `make test`."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

collect_ignore = [] if os.environ.get("CORTEX_E2E_COMPOSE") else ["real"]
