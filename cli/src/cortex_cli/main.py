"""The command `cortex`: what can be asked for. Each verb's work is in a module of its own, imported when it is asked.

Whatever is wrong with a request is one line on standard error; a traceback is never an answer.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cortex_cli.events.commands import app as events_app
from cortex_cli.keys.commands import app as keys_app
from cortex_cli.keys.commands import by_commas
from cortex_cli.refusal import Refusal, answered


class _Answers(TyperGroup):
    """Turns what stops a command into one line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        def work() -> int:
            super(_Answers, self).invoke(ctx)
            return 0

        raise typer.Exit(answered(work))


app = typer.Typer(
    cls=_Answers,
    help="Runs, watches and demonstrates Cortex Hub.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain messages: a mistake is a line, not a box
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StateOption = Annotated[
    Path | None,
    typer.Option("--state", help="The hub's folder. Default: $CORTEX_STATE, else .cortex here.", metavar="DIR"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"cortex {version('cortex-cli')}")
        raise typer.Exit


@app.callback()
def cortex(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Runs, watches and demonstrates Cortex Hub."""


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when ready; the hub runs on.")] = False,
    port_base: Annotated[
        int | None, typer.Option(metavar="N", help="Ports N, N+1 … in the topology's order, instead of its own.")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="A,B", help="Just these services.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start a service that dies again, later each time.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long getting ready may take.")] = 60.0,
    state: StateOption = None,
) -> None:
    """Start the hub: Redis, helpers and services. Ctrl-C ends it."""
    from cortex_cli import hub
    from cortex_cli.state import State

    options = hub.Options(port_base, only, restart, timeout)
    chosen = State.chosen(state)
    raise typer.Exit(hub.run_in_background(chosen, options) if detach else hub.run(chosen, options))


@app.command()
def status(as_json: JsonOption = False, state: StateOption = None) -> None:
    """Show each process. Exits 0 when all are ready, 1 when not, 3 when no hub runs."""
    from cortex_cli.state import State
    from cortex_cli.status import take_status

    taken = take_status(State.chosen(state))
    if as_json:
        typer.echo(json.dumps(taken.as_json(), indent=2))
    elif taken.record is None:
        typer.echo(f"No hub runs on {taken.state.folder}. Start one with `cortex up`.")
    else:
        from rich.console import Console

        from cortex_cli.screen import status_table

        console = Console(highlight=False)
        console.print(status_table(taken))
        for row in taken.rows:
            if not row.answer.ready:
                typer.echo(f"{row.member.name}: {row.answer.reason}")
    raise typer.Exit(taken.exit_status)


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="Just this one's (also redis, payments, hub).")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="And those to come, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many of each, the newest.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they were written.")] = False,
    state: StateOption = None,
) -> None:
    """Show what the services have written."""
    from cortex_cli import logs as log_files
    from cortex_cli.state import State

    chosen = State.chosen(state)
    names = log_files.sources(chosen, service)
    to_come = log_files.follow(chosen, names) if follow else iter(())
    width = max(map(len, names))
    try:
        for part in (log_files.last_lines(chosen, names, lines), to_come):
            for line in part:
                typer.echo(line.as_json() if as_json else _told(line, width))
    except KeyboardInterrupt:
        raise typer.Exit from None  # Ctrl-C is how following ends


@app.command()
def down(state: StateOption = None) -> None:
    """End the hub, wherever it was started, and wait until it has ended."""
    from cortex_cli import hub
    from cortex_cli.state import State

    typer.echo(hub.end(State.chosen(state)))


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state: StateOption = None,
) -> None:
    """Delete the hub's state: orders, files, logs. Asks before."""
    from cortex_cli import hub
    from cortex_cli.state import State

    chosen = State.chosen(state)
    hub.check_deletable(chosen)
    if not yes:
        _ask(f"Delete {chosen.folder} with all orders, files and logs?")
    typer.echo(hub.delete(chosen))


_databases = typer.Typer(help="The services' databases.", no_args_is_help=True)
app.add_typer(_databases, name="db")


@_databases.command()
def upgrade(
    only: Annotated[str | None, typer.Option(metavar="A,B", help="Just these services.")] = None,
) -> None:
    """Bring the databases that the environment names to the newest schema. In production nothing else does."""
    from cortex_cli import db
    from cortex_cli.topology import read_topology

    topology = read_topology()
    raise typer.Exit(db.upgrade(topology.only(only) if only is not None else topology))


_projections = typer.Typer(help="Lists that the services make of their events.", no_args_is_help=True)
app.add_typer(_projections, name="projections")
ServiceArgument = Annotated[str, typer.Argument(help="Whose it is: order.")]
ProjectionArgument = Annotated[str, typer.Argument(help="Its name, as `status` tells it.")]


@_projections.command("status")
def projections_status(service: ServiceArgument, state: StateOption = None) -> None:
    """How far each has come, what is being built, what was set aside."""
    _ask_projections(service, state, "status")


@_projections.command("rebuild")
def projections_rebuild(service: ServiceArgument, name: ProjectionArgument, state: StateOption = None) -> None:
    """Make it again from the first event on, beside the one that is shown, and switch to it."""
    _ask_projections(service, state, "rebuild", name)


@_projections.command("abandon")
def projections_abandon(service: ServiceArgument, name: ProjectionArgument, state: StateOption = None) -> None:
    """Give up a rebuild that cannot go on."""
    _ask_projections(service, state, "abandon", name)


def _ask_projections(service: str, state: Path | None, *words: str) -> None:
    from cortex_cli import projections
    from cortex_cli.topology import read_topology

    raise typer.Exit(projections.ask(read_topology().only(service), words, state))


app.add_typer(events_app, name="events")
app.add_typer(keys_app, name="keys")


@app.command()
def token(
    subject: Annotated[str, typer.Option("--sub", help="Whom it names.", metavar="NAME")],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", "-s", help="Several: again, or by commas.", metavar="SCOPE")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option("--role", "-r", help="viewer, operator or admin.", metavar="ROLE")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose he is.", metavar="NAME")] = "public",
    plan: Annotated[str | None, typer.Option(help="Whose limit he has.")] = None,
    ttl: Annotated[str, typer.Option(help="90s, 15m, 1h: at most a day.", metavar="TIME")] = "1h",
    state: StateOption = None,
) -> None:
    """Print a token that the hub here accepts, signed with its development key."""
    from cortex_cli.durations import seconds
    from cortex_cli.state import State
    from cortex_cli.tokens import Wanted, sign_token

    wanted = Wanted(subject, by_commas(scope or []), by_commas(role or []), tenant, plan, seconds(ttl, "--ttl"))
    typer.echo(sign_token(State.chosen(state).folder, wanted))


@app.command()
def demo(
    as_json: JsonOption = False,
    url: Annotated[str | None, typer.Option(help="The gateway's. Default: the hub that runs here.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="For the images. Default: demo in the state.")] = None,
    state: StateOption = None,
) -> None:
    """Show the whole journey on the running hub, each step checked. Exits 0 when all is as it should be. Where a hub
    wants to know who asks, CORTEX_TOKEN says it."""
    from cortex_cli.demo.run import demonstrate
    from cortex_cli.hub import gateway_of
    from cortex_cli.state import State
    from cortex_cli.topology import read_topology

    chosen = State.chosen(state)
    place = out or (Path("cortex-demo") if url else chosen.folder / "demo")
    raise typer.Exit(demonstrate(url or gateway_of(chosen), read_topology().names, place, as_json=as_json))


def _ask(question: str) -> None:
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        typer.echo()
        raise Refusal("nobody to ask here: nothing deleted; pass --yes to delete without asking") from None
    if not agreed:
        raise Refusal("nothing deleted")


def _told(line: Any, width: int) -> str:
    return f"{typer.style(f'{line.source:<{width}}', fg='cyan')} {typer.style(line.pretty(), fg=line.colour)}"


if __name__ == "__main__":
    app()
