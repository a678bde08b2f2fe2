"""What runs in the Dockerfile's builder, by the Python that it finds there and nothing else: it writes the layers."""
