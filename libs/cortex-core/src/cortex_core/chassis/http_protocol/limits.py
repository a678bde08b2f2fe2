"""How much and how long: what a connection is allowed. The settings that fill it are `guard_settings.py`'s."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Times are in seconds on the loop's clock, sizes in bytes. `hosts`: the only ones answered for, in lower case,
    without a port; empty: all that are written correctly. `hosts_setting`: where nobody has to say who he is, the
    variable that names them; then those are answered for besides that no page of the internet can have (`hosts.py`),
    and no others."""

    head_timeout: float = 10.0
    """For a whole head: from the connection's begin for the first, from its first byte for a later one."""
    keep_alive: float = 5.0
    """Between an answer and the first byte of the next request."""
    body_silence: float = 10.0
    """Without a byte of a body that we are ready to read."""
    body_grace: float = 8.0
    """For a body to come as slowly as it likes; from then on it must have had `body_rate` on average."""
    body_rate: float = 240.0
    """Bytes a second."""
    write_silence: float = 10.0
    """For a client to take `body_rate` a second, on average, of what waits to be sent to it."""
    linger: float = 2.0
    """For a client to read why it was refused, before the connection is torn down."""

    head_size: int = 32 * 1024
    header_count: int = 100
    target_size: int = 8 * 1024
    chunk_overhead: int = 16 * 1024
    """Of a chunked body that is neither data nor the reasonable cost of a chunk: extensions, trailers, padding."""
    leftover: int = 1 << 20
    """Of a body that nobody reads any more, because its answer is out: dropped, so that the answer can be read."""
    pipelined: int = 32
    """Requests that wait on a connection behind the one being answered."""
    connections: int = 10_000
    """In this process."""

    hosts: frozenset[str] = frozenset()
    hosts_setting: str = ""

    @property
    def tick(self) -> float:
        """How long a connection may go unwatched: no deadline is noticed later than it falls due."""
        waits = (
            self.head_timeout,
            self.keep_alive,
            self.body_silence,
            self.body_grace,
            self.write_silence,
            self.linger,
        )
        return min(waits)
