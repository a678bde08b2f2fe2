"""The order service of Cortex Hub: event-sourced orders and their payment."""
