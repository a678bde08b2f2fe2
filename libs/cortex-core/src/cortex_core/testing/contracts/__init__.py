"""Contract suites: what every adapter of a role must do. An adapter's test subclasses one and provides its fixture."""
