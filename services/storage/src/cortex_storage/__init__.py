"""The storage service of Cortex Hub: content-addressed files."""
