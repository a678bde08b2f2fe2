"""`scripts/` is no installed package; and what needs a Prometheus is there where one is on the PATH, what needs a
collector where CORTEX_TEST_COLLECTOR names one."""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

collect_ignore = [] if shutil.which("prometheus") else ["test_queries_answered.py", "test_observe.py"]
collect_ignore += [] if shutil.which("promtool") else ["test_rules_by_promtool.py", "test_two_hubs.py"]
collect_ignore += [] if os.environ.get("CORTEX_TEST_COLLECTOR") else ["test_collector.py"]
