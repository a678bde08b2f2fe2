"""What touches the world: Pillow's codecs, the WebAssembly module, threads, the bus."""
