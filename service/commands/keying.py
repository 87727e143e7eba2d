"""Make keys, list them, revoke them; a running server knows within a second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import typer
from rich.markup import escape

from service import keys
from service.commands.options import (
    FOUND,
    MISUSE,
    NOTHING,
    AsJson,
    Data,
    err,
    out,
    print_json,
    settings_of,
)
from service.keyring import KeyFile, KeysUnreadable
from service.keys import BadKey, Key

key = typer.Typer(name="key", help="Keys: who may ask, read and change.", no_args_is_help=True)

Done = TypeVar("Done")


@key.command("add")
def add_key(
    scope: Annotated[
        Literal["ask", "read", "admin"],
        typer.Option(help="ask: questions alone; read: documents too; admin: changes too."),
    ],
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="A web origin whose pages may use it, and nobody else; may be repeated.", show_default=False
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="90d, 12h, 2w, or its last day: 2027-01-31.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for.", show_default=False)] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: it is shown this once, and kept as a hash."""
    settings = settings_of(data=data)

    def made() -> tuple[Key, str]:
        until = keys.expiry_of(expires, datetime.now(tz=UTC)) if expires is not None else None
        origins = tuple(dict.fromkeys(keys.origin_of(one) for one in origin or ()))
        found = keys.make(scope, name=name, origins=origins, expires_at=until)
        KeyFile(settings.data).add(found[0])
        return found

    new, text = _explained(made)
    if as_json:
        print_json({"key": text, **_shown(new)})
        return
    err.print(f"This is the only time that the key is shown; {new.id} is its id.")
    out.print(text)


@key.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """List the keys, without what opens. Exit code 1 when there is none."""
    settings = settings_of(data=data)
    found = _explained(KeyFile(settings.data).read)
    if as_json:
        print_json({"keys": [_shown(one) for one in found]})
    elif not found:
        err.print(f"{escape(str(settings.data))} holds no keys; `pullquote key add` makes one")
    for one in found if not as_json else ():
        until = f"until {one.expires_at}" if one.expires_at else ""
        about = (one.id, one.scope, one.state(keys.now()), one.created_at, until, *one.origins, one.name)
        out.print(escape("  ".join(part for part in about if part)))
    raise typer.Exit(FOUND if found else NOTHING)


@key.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="An id that `pullquote key list` shows.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key worthless. Exit code 1 when there is none with that id."""
    settings = settings_of(data=data)
    found = _explained(lambda: KeyFile(settings.data).revoke(key_id))
    if found is None:
        # It may be a whole key that was given: what it says is not repeated.
        err.print("there is no key with that id; `pullquote key list` shows the ids")
        raise typer.Exit(NOTHING)
    if as_json:
        print_json(_shown(found))
    else:
        out.print(f"{found.id} is revoked")


def _shown(one: Key) -> dict[str, object]:
    """Return what may be told of a key."""
    return {
        "id": one.id,
        "scope": one.scope,
        "name": one.name,
        "origins": list(one.origins),
        "state": one.state(keys.now()),
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "revoked_at": one.revoked_at,
    }


def _explained(doing: Callable[[], Done]) -> Done:
    """Return what comes of it; exit 2 where that cannot be done, with what is wrong."""
    try:
        return doing()
    except (BadKey, KeysUnreadable, OSError) as error:
        err.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(MISUSE) from error
