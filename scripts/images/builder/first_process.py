"""What Python runs first in an image, as `sitecustomize`. There it is process 1, to which the kernel delivers no signal
that it has no handler for: a SIGTERM while a service still starts would be lost, and `docker stop` would wait and kill.
The server's own handlers replace this one.
"""

import os

if os.getpid() == 1:
    import signal

    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
