"""What touches the world: the database, Prometheus' text, the exporter's port."""
