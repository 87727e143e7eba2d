"""What the commands share: options, consoles, exit codes, errors as one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from service import logs
from service.exits import FOUND, MISUSE, NOTHING, code_of, said
from service.filters import AT_TERMINAL, is_pair
from service.misconfigured import problems_of
from service.settings import Settings

# Without emoji: `:x:` in a document is what it says, not a picture.
out = Console(soft_wrap=True, highlight=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

__all__ = ["FOUND", "MISUSE", "NOTHING"]


def readable(text: str) -> str:
    """Return an argument as text that is valid, whatever bytes came in."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def pairs(given: list[str] | None) -> list[str]:
    """Return fields to filter by; exit 2 where one is not written as such."""
    if not all(is_pair(one, AT_TERMINAL) for one in given or ()):
        raise typer.BadParameter("write a field as name=value, such as lang=en")
    return [readable(one) for one in given or ()]


Corpus = Annotated[Path | None, typer.Option(help="Folder of documents.", show_default=False)]
Data = Annotated[Path | None, typer.Option(help="Folder of the index.", show_default=False)]
Model = Annotated[str | None, typer.Option(help="Model name or folder.", show_default=False)]
AsOf = Annotated[str | None, typer.Option(help="Ask this kept version.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TopK = Annotated[int, typer.Option(help="How many passages.", min=1, max=1000)]
Question = Annotated[str, typer.Argument(help="The question.", callback=readable)]
Documents = Annotated[list[str] | None, typer.Option("--in", help="Only documents whose id begins so.")]
FIELDS = "Only documents with this front matter; of a name given several times, any of its values."
Field = typer.Option("--field", help=FIELDS, metavar="NAME=VALUE", callback=pairs, show_default=False)
Fields = Annotated[list[str] | None, Field]


def settings_of(**flags: Any) -> Settings:
    """Return the settings with the given flags on top; exit 2 where one is wrong."""
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except (OSError, ValueError) as error:  # what pydantic raises is a ValueError, too
        for seen, remedy in problems_of(error):
            err.print(f"[red]{escape(seen)}[/red]; {escape(remedy)}")
        raise typer.Exit(MISUSE) from error
    logs.configure(settings)
    return settings


@contextmanager
def explained() -> Iterator[None]:
    """Turn our errors into one line and an exit code."""
    try:
        yield
    except Exception as error:
        code = code_of(error)
        if code is None:
            raise
        err.print(f"[red]{escape(said(error))}[/red]")
        raise typer.Exit(code) from error


def print_json(values: object) -> None:
    """Print JSON in which what could steer a terminal is escaped; read again, it is the same."""
    text = json.dumps(values, indent=2, ensure_ascii=False)
    shown = "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)
    out.print(shown, markup=False)
