"""The analytics service of Cortex Hub: figures from events."""
