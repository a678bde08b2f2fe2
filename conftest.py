"""For every test of the tree: hypothesis judges behaviour, not the speed of a busy machine."""

from hypothesis import settings

settings.register_profile("hub", deadline=None)
settings.load_profile("hub")
