"""`scripts/` is no installed package; and what needs a Prometheus is there where one is on the PATH, what needs a
collector where CORTEX_TEST_COLLECTOR names one that has the parts."""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from .collecting import has  # noqa: E402 - from that path

collect_ignore = [] if shutil.which("prometheus") else ["test_queries_answered.py", "test_observe.py"]
collect_ignore += [] if shutil.which("promtool") else ["test_rules_by_promtool.py", "test_two_hubs.py"]
collect_ignore += [] if has("otlp", "otlp_grpc") else ["test_collector.py"]
collect_ignore += [] if has("file_log", "otlp_http", "file_storage") else ["test_log_shipper.py"]
