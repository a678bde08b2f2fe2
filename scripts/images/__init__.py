"""Container images of the hub: `builder` composes them inside the Dockerfile, the rest builds, measures and describes
them from the host.
"""
