"""What the command line will not, or cannot, do: one line for the person, and an exit status for the script."""

import sys
from collections.abc import Callable


class Refusal(Exception):
    """Reaches the person as one line that says what to do. Never a traceback."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def answered(work: Callable[[], int]) -> int:
    """The exit status of `work`. Where it is refused, or the system refuses, that is one line on standard error."""
    try:
        return work()
    except Refusal as refusal:
        message, status = refusal.message, refusal.status
    except BrokenPipeError:
        raise  # `cortex logs | head`: typer ends quietly
    except OSError as error:
        message, status = f"{error.strerror}: {error.filename}" if error.filename else str(error), 1
    sys.stderr.write(f"cortex: {message}\n")
    return status
