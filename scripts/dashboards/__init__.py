"""What Prometheus and Grafana are told about the hub, made from what its services measure.

`python -m scripts.dashboards` writes observability/metrics.json, the dashboards, the alert rules with their unit tests,
and the pages about both. Names of figures come from `inventory`, which asks the services themselves; `figures` names
each once. Refuses to run anything: `scripts/observe.py` starts a Prometheus.
"""
