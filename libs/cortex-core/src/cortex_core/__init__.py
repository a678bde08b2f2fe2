"""The framework beneath Cortex Hub. Take one cog at a time: each lives behind an extra of its own."""
