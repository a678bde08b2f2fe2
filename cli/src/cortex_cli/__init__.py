"""The cortex command: the only program that knows all services, by their address."""
