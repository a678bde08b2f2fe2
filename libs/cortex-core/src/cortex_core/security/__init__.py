"""Who is calling, and what they may do: principals from tokens and keys, checked where they come in."""

from cortex_core.kernel import Principal

__all__ = ["Principal"]
