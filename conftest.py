"""For every test of the tree: hypothesis judges behaviour, not a busy machine's speed; processes hear their signals."""

import os
import signal

from hypothesis import settings

# CORTEX_SAME=1: the same examples each time, for what is counted (`make blocks`).
settings.register_profile("hub", deadline=None, derandomize=os.environ.get("CORTEX_SAME") == "1")
settings.load_profile("hub")


def pytest_configure() -> None:
    """A shell's background job and `nohup` ignore these, and every process that a test starts would inherit that."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
