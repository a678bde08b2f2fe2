"""The compute service of Cortex Hub: image processing in WebAssembly."""
