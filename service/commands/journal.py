"""The journal at the terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from service.commands.options import (
    FOUND,
    MISUSE,
    NOTHING,
    AsJson,
    Data,
    Model,
    err,
    explained,
    out,
    print_json,
    settings_of,
)


def journal(
    limit: Annotated[int, typer.Option(help="Most groups.", min=1, max=500)] = 100,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Show the questions that got no answer, or one thumbed down, by meaning. Exit code 1 without any."""
    settings = settings_of(data=data, model=model)
    if as_csv and as_json:
        err.print("give --csv or --json, not both")
        raise typer.Exit(MISUSE)
    from service import unanswered
    from service.journal import read_lacking
    from service.outside import open_index
    from service.threshold import threshold_of

    with explained():
        index = open_index(settings)
        found = unanswered.report(index, read_lacking(settings.data), limit, threshold_of(settings))
    if as_csv:
        sys.stdout.write(unanswered.as_csv(found))
    elif as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
    elif not found.groups:
        kept = "" if settings.journal else "; none is kept unless PULLQUOTE_JOURNAL is true"
        err.print(f"the journal holds no question without an answer{kept}")
    for one in found.groups if not (as_csv or as_json) else ():
        mark = "  [green](answered now)[/green]" if one.answered_now else ""
        disliked = f"  [red]({one.thumbs_down} thumbed down)[/red]" if one.thumbs_down else ""
        out.print(f"{one.count:>5}  {escape(_line(one.question))}{mark}{disliked}")
        for wording in one.wordings[1:]:
            out.print(f"       also: {escape(_line(wording.question))}")
        for passage in one.passages[:1]:
            out.print(f"       nearest: [dim]{escape(_line(passage.passage_id))}[/dim]")
    raise typer.Exit(FOUND if found.groups else NOTHING)


def _line(text: str) -> str:
    """Return text in one line, without what could steer a terminal."""
    return "".join(one if one.isprintable() else " " for one in text)
