"""The gateway beside its peers: where they come from, how each is set up, and what stands behind and before them."""
