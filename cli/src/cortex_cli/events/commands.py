"""The verbs of `cortex events`. What they do is in `work.py`, how it looks in `pages.py`, imported when asked for."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cortex_cli.events.place import Where
from cortex_cli.refusal import Refusal

if TYPE_CHECKING:
    from cortex_core.events import EventLog

app = typer.Typer(
    help="Events on the bus: follow them, see who is behind, deliver again. The bus is CORTEX_REDIS_URL's, else that of"
    " the hub that runs here.",
    no_args_is_help=True,
)
dead_letters = typer.Typer(help="Events that a group could not take.", no_args_is_help=True)
app.add_typer(dead_letters, name="dead-letters")

StateOption = Annotated[
    str | None,
    typer.Option("--state", help="The hub's folder. Default: $CORTEX_STATE, else .cortex here.", metavar="DIR"),
]
TenantOption = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Of these tenants. Default: $CORTEX_TENANTS, else public."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="A JSON object a line, for scripts.")]
GroupArgument = Annotated[str, typer.Argument(help="The consumer group: a service's name.")]
LetterArgument = Annotated[
    str | None, typer.Argument(metavar="[ENTRY]", help="The dead letter, as `list` names it; or --all.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every one of the group.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def tail(
    topics: Annotated[list[str] | None, typer.Argument(metavar="[TOPIC]…", help="Default: all there are.")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="PLACE", help="An entry, a time (RFC 3339), or 0. Default: from now on."),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many.")] = None,
    as_json: JsonOption = False,
    tenant: TenantOption = None,
    state: StateOption = None,
) -> None:
    """Show events as they come, until Ctrl-C. Takes none away from anybody."""
    from cortex_cli.events import pages, work
    from cortex_core.events import shown

    def show(entry: Any) -> None:
        typer.echo(shown.entry_json(entry) if as_json else pages.entry_line(entry))

    _run(Where(tenant, state), lambda log: work.tail(log, topics or [], start, count, show))


@app.command()
def groups(
    group: Annotated[str | None, typer.Argument(help="Just this one.")] = None,
    as_json: JsonOption = False,
    tenant: TenantOption = None,
    state: StateOption = None,
) -> None:
    """Show each group: what waits for it, what it holds, how old the oldest of it is, how many dead letters."""
    from cortex_cli.events import pages
    from cortex_cli.events.work import require_group
    from cortex_core.events import shown

    async def work(log: "EventLog") -> None:
        lags = await log.lag(group) if group is None else await require_group(log, group)
        if as_json:
            for lag in lags:
                typer.echo(shown.lag_json(lag))
        else:
            pages.print_lags(lags)

    _run(Where(tenant, state), work)


@app.command()
def replay(
    topic: Annotated[str, typer.Argument(help="Whose events: order, file, image …")],
    group: GroupArgument,
    start: Annotated[str, typer.Option("--from", metavar="PLACE", help="An entry, or a time (RFC 3339).")] = "0",
    end: Annotated[str | None, typer.Option("--to", metavar="PLACE", help="Included. Default: the newest.")] = None,
    yes: YesOption = False,
    tenant: TenantOption = None,
    state: StateOption = None,
) -> None:
    """Deliver what the log has of a topic to one group again, beside what comes; no other group hears of it."""
    from cortex_cli.events import work

    if not yes:
        _ask(f"Deliver {topic} from {start} to {end or 'the newest'} to {group} again?")

    async def again(log: "EventLog") -> None:
        count = await log.replay(topic, group, start=work.place(start), end=None if end is None else work.place(end))
        typer.echo(f"{work.counted(count, 'event')} of {topic} on the way to {group} again")

    _run(Where(tenant, state), again)


@app.command()
def forget(
    group: GroupArgument,
    topic: Annotated[str, typer.Argument(help="Whose events it shall not be waited for any more.")],
    force: Annotated[bool, typer.Option("--force", help="Even while it has members.")] = False,
    yes: YesOption = False,
    tenant: TenantOption = None,
    state: StateOption = None,
) -> None:
    """Remove a group that nobody is a member of any more: the log keeps nothing for it. Its dead letters stay."""
    from cortex_cli.events import work

    if not yes:
        _ask(f"Forget that {group} has not handled all of {topic}?")

    async def forgotten(log: "EventLog") -> None:
        await work.forget(log, group, topic, force=force)
        typer.echo(f"{group} has no claim on {topic} any more")

    _run(Where(tenant, state), forgotten)


@dead_letters.command("list")
def list_letters(
    group: GroupArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000)] = 50,
    after: Annotated[str | None, typer.Option(metavar="ENTRY", help="The next page: those after this one.")] = None,
    as_json: JsonOption = False,
    tenant: TenantOption = None,
    state: StateOption = None,
) -> None:
    """Show a group's dead letters, the oldest first."""
    from cortex_cli.events import pages
    from cortex_cli.events.work import require_group
    from cortex_core.events import shown

    async def work(log: "EventLog") -> None:
        letters = await log.dead_letters(group, after=after, limit=limit)
        if not letters:
            await require_group(log, group)
        if as_json:
            for letter in letters:
                typer.echo(shown.letter_json(letter))
            return
        pages.print_letters(group, letters)
        if len(letters) == limit:
            typer.echo(f"There may be more: --after {letters[-1].entry}")

    _run(Where(tenant, state), work)


@dead_letters.command()
def show(
    group: GroupArgument,
    entry: Annotated[str, typer.Argument(help="The dead letter, as `list` names it.")],
    as_json: JsonOption = False,
    tenant: TenantOption = None,
    state: StateOption = None,
) -> None:
    """Show one dead letter: why it died, and all of its event."""
    from cortex_cli.events import pages
    from cortex_core.events import shown

    async def work(log: "EventLog") -> None:
        letter = await log.dead_letter(group, entry)
        typer.echo(shown.letter_json(letter) if as_json else pages.letter_page(letter))

    _run(Where(tenant, state), work)


@dead_letters.command("replay")
def replay_letters(
    group: GroupArgument,
    entry: LetterArgument = None,
    every: AllOption = False,
    yes: YesOption = False,
    tenant: TenantOption = None,
    state: StateOption = None,
) -> None:
    """Deliver a dead letter to its group again, as a first attempt."""
    from cortex_cli.events import work

    _one_or_all(entry, every=every)
    if every and not yes:
        _ask(f"Deliver every dead letter of {group} again?")

    async def again(log: "EventLog") -> None:
        done, empty = await work.replay_letters(log, group, entry)
        typer.echo(f"{work.counted(done, 'dead letter')} on the way to {group} again")
        if empty:
            typer.echo(f"{work.counted(empty, 'dead letter')} left: of those the log has no event any more")

    _run(Where(tenant, state), again)


@dead_letters.command()
def drop(
    group: GroupArgument,
    entry: LetterArgument = None,
    every: AllOption = False,
    yes: YesOption = False,
    tenant: TenantOption = None,
    state: StateOption = None,
) -> None:
    """Delete a dead letter for good. Asks before."""
    from cortex_cli.events import work

    _one_or_all(entry, every=every)
    if not yes:
        _ask(f"Delete {entry or 'every dead letter'} of {group} for good?")

    async def gone(log: "EventLog") -> None:
        done = await work.drop_letters(log, group, entry)
        typer.echo(f"{work.counted(done, 'dead letter')} of {group} deleted")

    _run(Where(tenant, state), gone)


def _run(where: Where, work: Callable[["EventLog"], Coroutine[Any, Any, None]]) -> None:
    from cortex_cli.events.place import run

    try:
        run(where, work)
    except KeyboardInterrupt:
        raise typer.Exit from None  # Ctrl-C is how following ends


def _one_or_all(entry: str | None, *, every: bool) -> None:
    if (entry is None) is not every:
        raise Refusal("name one dead letter as `cortex events dead-letters list` shows it, or pass --all")


def _ask(question: str) -> None:
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        typer.echo()
        raise Refusal("nobody to ask here: nothing done; pass --yes to go on without asking") from None
    if not agreed:
        raise Refusal("nothing done")
