"""The gateway of Cortex Hub: the way in."""
