"""The notification service of Cortex Hub: live events over WebSockets."""
