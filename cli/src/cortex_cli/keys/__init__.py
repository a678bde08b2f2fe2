"""`cortex keys`: API keys, through the gateway."""
