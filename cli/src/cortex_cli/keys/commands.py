"""The verbs of `cortex keys`.

Who asks: `--token`, else CORTEX_TOKEN, else, for the hub that runs here, a token that its own development key signs for
a minute. A secret goes to standard output by itself, so that `KEY=$(cortex keys create …)` has it and nothing else.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cortex_cli.durations import seconds
from cortex_cli.refusal import Refusal

if TYPE_CHECKING:
    from cortex_cli.keys.client import KeysOf

app = typer.Typer(help="API keys of the hub, through its gateway.", no_args_is_help=True)

UrlOption = Annotated[str | None, typer.Option(help="The gateway's. Default: the hub that runs here.")]
TokenOption = Annotated[
    str | None,
    typer.Option(help="Of who has keys:admin. Others can see it in `ps`: better set $CORTEX_TOKEN.", metavar="TOKEN"),
]
TenantOption = Annotated[str, typer.Option(help="Where the development key signs: of this tenant.", metavar="NAME")]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", help="The hub's folder. Default: $CORTEX_STATE, else .cortex here.", metavar="DIR"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="The answer as JSON, secret included.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="As `list` names it: key_….")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    scope: Annotated[list[str], typer.Option("--scope", "-s", help="Several: again, or by commas.", metavar="SCOPE")],
    subject: Annotated[str | None, typer.Option("--sub", help="Whom it speaks for. Default: itself.")] = None,
    plan: Annotated[str | None, typer.Option(help="Whose limit it has.")] = None,
    expires: Annotated[
        str | None, typer.Option(help="90s, 15m, 1h, 30d from now on. Default: never.", metavar="TIME")
    ] = None,
    url: UrlOption = None,
    token: TokenOption = None,
    tenant: TenantOption = "public",
    as_json: JsonOption = False,
    state: StateOption = None,
) -> None:
    """Make a key. Prints its secret, which nobody can look up again."""
    wish: dict[str, Any] = {"name": name, "scopes": by_commas(scope)}
    lives = None if expires is None else seconds(expires, "--expires")
    wish |= {
        key: value for key, value in (("subject", subject), ("plan", plan), ("expiresIn", lives)) if value is not None
    }
    _show_secret(_keys(url, token, tenant, state).create(wish), "made", as_json=as_json)


@app.command("list")
def list_(
    url: UrlOption = None,
    token: TokenOption = None,
    tenant: TenantOption = "public",
    as_json: JsonOption = False,
    state: StateOption = None,
) -> None:
    """Show the keys, the newest first, those that were revoked among them."""
    keys, found, cursor = _keys(url, token, tenant, state), [], None
    while True:
        page = keys.page(cursor)
        found += page["keys"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    if as_json:
        typer.echo(json.dumps({"keys": found}, indent=2))
    elif not found:
        typer.echo("No keys.")
    else:
        _print_table(found)


@app.command()
def revoke(
    key_id: KeyArgument,
    url: UrlOption = None,
    token: TokenOption = None,
    tenant: TenantOption = "public",
    as_json: JsonOption = False,
    state: StateOption = None,
) -> None:
    """End a key for good, everywhere within two seconds."""
    key = _keys(url, token, tenant, state).revoke(key_id)
    typer.echo(json.dumps(key, indent=2) if as_json else f"Revoked {key['keyId']} ({key['name']}).")


@app.command()
def rotate(
    key_id: KeyArgument,
    grace: Annotated[
        str,
        typer.Option(
            help="How long the old secret holds on: 90s, 15m, 1h, 7d. 0 ends every old one now.", metavar="TIME"
        ),
    ] = "0",
    url: UrlOption = None,
    token: TokenOption = None,
    tenant: TenantOption = "public",
    as_json: JsonOption = False,
    state: StateOption = None,
) -> None:
    """Give a key another secret. Prints it."""
    key = _keys(url, token, tenant, state).rotate(key_id, seconds(grace, "--grace"))
    _show_secret(key, "has another secret", as_json=as_json)


def by_commas(values: list[str]) -> list[str]:
    """`-s a -s b,c` → a, b, c."""
    parts = [part.strip() for value in values for part in value.replace(" ", ",").split(",")]
    return list(dict.fromkeys(part for part in parts if part))


def _keys(url: str | None, token: str | None, tenant: str, state: Path | None) -> "KeysOf":
    from cortex_cli.hub import gateway_of
    from cortex_cli.keys.client import KeysOf
    from cortex_cli.state import State
    from cortex_cli.tokens import Wanted, sign_token

    chosen = State.chosen(state)
    given = token or os.environ.get("CORTEX_TOKEN")
    if given is None and url is not None and url.rstrip("/") != _running_here(chosen):
        raise Refusal("set CORTEX_TOKEN for a hub that does not run here: the development key is not known there")
    place = (url or gateway_of(chosen)).rstrip("/")
    admin = Wanted("cortex-cli", roles=["admin"], tenant=tenant, life=60)
    return KeysOf(place, given or sign_token(chosen.folder, admin))


def _running_here(state: Any) -> str | None:
    record = state.running()
    gateway: str | None = record.gateway if record is not None else None
    return gateway


def _show_secret(key: Any, done: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(key, indent=2))
        return
    typer.echo(f"{key['keyId']} ({key['name']}) {done}: {', '.join(key['scopes'])}. Shown once:", err=True)
    typer.echo(key["secret"])


def _print_table(keys: list[Any]) -> None:
    from cortex_cli.keys.table import lines_of

    for line in lines_of(keys, _terminal_width()):
        typer.echo(line)


def _terminal_width() -> int | None:
    """None: nobody reads it on a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
