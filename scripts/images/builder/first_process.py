"""What Python runs first in an image, as `sitecustomize`. There it is process 1, to which the kernel delivers no signal
that it has no handler for: a SIGTERM while its modules are read would be lost, and `docker stop` would wait and kill.
For SIGINT Python has one, which prints a traceback. `serve` replaces both as soon as it is called to serve; a command
(`db …`, `events …`) keeps them, and ends at once.
"""

import os

if os.getpid() == 1:
    import signal

    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda number, _: os._exit(128 + number))
