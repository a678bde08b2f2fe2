"""A hub from its start to its end: in this terminal, in the background, or ended from another shell."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psutil

from cortex_cli.child import turn_over
from cortex_cli.refusal import Refusal, answered
from cortex_cli.state import MARKER, State
from cortex_cli.topology import read_topology

_PATIENCE: Final = 8.0  # seconds `down` gives a supervisor, which itself promises five


@dataclass(frozen=True, slots=True)
class Options:
    """What `cortex up` was asked for."""

    port_base: int | None = None
    only: str | None = None
    restart: bool = False
    timeout: float = 60.0


def run(state: State, options: Options, *, when_ready: Callable[[], None] | None = None) -> int:
    """Runs the hub until it is told to end. The exit status. Raises Refusal where it cannot start."""
    from cortex_cli.plan import plan
    from cortex_cli.screen import TerminalScreen
    from cortex_cli.supervisor import Supervisor

    topology = read_topology()
    if options.port_base is not None:
        topology = topology.on_ports_from(options.port_base)
    chosen = topology.only(options.only) if options.only is not None else topology

    state.claim()
    try:
        screen = TerminalScreen(state, detached=when_ready is not None)
        left = state.end_orphans()
        if left:
            screen.trouble(f"the last hub here ended without cleaning up; ended what it left: {', '.join(left)}")
        programs = plan(topology, chosen, state)
        supervisor = Supervisor(
            programs, state, screen, restart=options.restart, timeout=options.timeout, when_ready=when_ready
        )
        return asyncio.run(supervisor.run())
    finally:
        state.release()


def run_in_background(state: State, options: Options) -> int:
    """Returns when the hub is ready (0), or with its exit status where it has ended before."""
    reading, writing = os.pipe()
    child = os.fork()  # not a new interpreter: that would take a third of a second, and lose the person's words in `ps`
    if child == 0:
        os.close(reading)
        os._exit(_in_background(state, options, writing))
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            ready = pipe.read() == b"ready"
    except KeyboardInterrupt:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        return 130
    return 0 if ready else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _in_background(state: State, options: Options, ready: int) -> int:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    status = answered(lambda: run(state, options, when_ready=lambda: _let_go(ready, state)))
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _let_go(ready: int, state: State) -> None:
    """From here on nobody's terminal is ours: what is still to be said goes to the log `hub`."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = state.log("hub")
    turn_over(log)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.close(written)
    os.write(ready, b"ready")
    os.close(ready)


def end(state: State) -> str:
    """Ends the hub that runs here and waits for it. Says what was done. Raises Refusal where it is somebody else's."""
    record = state.running()
    if record is None:
        left = state.end_orphans()
        return f"Ended what a killed hub had left: {', '.join(left)}." if left else f"No hub runs on {state.folder}."
    supervisor = record.supervisor.process()
    began = time.monotonic()
    if supervisor is not None:
        _tell(supervisor, signal.SIGTERM)
        if not record.supervisor.gone_within(_PATIENCE):
            _tell(supervisor, signal.SIGKILL)
            record.supervisor.gone_within(_PATIENCE)
            state.end_orphans()
            return f"The hub (pid {record.supervisor.pid}) did not end within {_PATIENCE:g} s and was killed."
    return f"The hub (pid {record.supervisor.pid}) has ended, in {time.monotonic() - began:.1f} s."


def _tell(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise Refusal(
            f"the hub (pid {process.pid}) runs as another user ({process.username()}): end it as that one"
        ) from None


def delete(state: State) -> str:
    """Deletes the state. Raises Refusal while a hub runs on it, or where it is no state folder."""
    check_deletable(state)
    state.claim()  # from here on no hub can start on it
    try:
        state.end_orphans()
        left = state.delete()
    finally:
        state.release()
    if left:
        return f"Deleted the hub's state in {state.folder}; what is not the hub's stays: {', '.join(left)}."
    return f"Deleted {state.folder}."


def check_deletable(state: State) -> None:
    """Raises Refusal. Apart from `delete`, so that nobody is asked about what cannot be."""
    if not state.folder.exists():
        raise Refusal(f"there is no state in {state.folder}", status=3)
    if not state.is_ours:
        raise Refusal(f"{state.folder} is not a hub's state folder (no file {MARKER!r} in it): nothing deleted")
    record = state.running()
    if record is not None:
        raise Refusal(f"a hub runs on {state.folder} (pid {record.supervisor.pid}): end it first with `cortex down`")


def redis_of(state: State) -> str:
    """The URL of the Redis of the hub that runs here. Raises Refusal."""
    record = state.running()
    if record is None:
        raise Refusal(
            f"no hub runs on {state.folder}: start one with `cortex up`, or set CORTEX_REDIS_URL to the bus you mean",
            status=3,
        )
    if record.redis is None:
        raise Refusal("this hub uses a Redis of your own: set CORTEX_REDIS_URL to it")
    return record.redis


def gateway_of(state: State) -> str:
    """The URL of the way into the hub that runs here. Raises Refusal."""
    record = state.running()
    if record is None:
        raise Refusal(f"no hub runs on {state.folder}: start one with `cortex up`, or pass --url", status=3)
    if record.gateway is None:
        raise Refusal("this hub was started without its gateway (--only): there is no way in to show")
    return record.gateway
