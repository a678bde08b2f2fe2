"""What touches the world: the event store, the payment provider, and the loop that works the orders off."""
