"""What needs a cluster is asked for by `make e2e-k8s`, never by `make test`."""

import os

collect_ignore = [] if os.environ.get("CORTEX_E2E_K8S") else ["real"]
