"""Measure this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from service.commands.options import MISUSE, AsJson, Data, Model, err, explained, out, print_json, settings_of

if TYPE_CHECKING:
    from service.bench import Measured


def bench(
    questions: Annotated[
        Path | None,
        typer.Option(
            help="Questions, one a line or JSON Lines; without, made of the documents' words.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Measure this server, with --questions.", show_default=False)
    ] = None,
    key: Annotated[str | None, typer.Option(help="Key for that server.", show_default=False)] = None,
    clients: Annotated[int, typer.Option(help="Questions at the same moment.", min=1, max=256)] = 16,
    seconds: Annotated[float, typer.Option(help="How long, in all.", min=1, max=600)] = 25.0,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page with plots.", show_default=False)
    ] = None,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Measure questions a second on this machine, and where the time of one goes, in half a minute."""
    settings = settings_of(data=data, model=model)
    from service import bench as measuring
    from service import plots
    from service.askers import CannotMeasure

    with explained():
        try:
            if report is not None and not plots.can_plot():
                raise CannotMeasure("the page needs matplotlib; run `pip install 'pullquote[report]'`")
            asked = measuring.questions_in(questions) if questions is not None else []
            with err.status("") as status:
                given: dict[str, Any] = {"clients": clients, "seconds": seconds, "told": status.update}
                if url is None:
                    done = measuring.measure_here(settings, questions=asked, **given)
                elif asked:
                    done = measuring.measure_server(url, key=key, questions=asked, **given)
                else:
                    raise CannotMeasure("a server is measured with questions of yours; give --questions")
        except CannotMeasure as error:
            err.print(f"[red]{escape(str(error))}[/red]")
            raise typer.Exit(MISUSE) from error
        if report is not None:
            from service.bench_page import page

            report.write_text(page(done), encoding="utf-8")
    if as_json:
        print_json(json.loads(json.dumps(asdict(done))))
    else:
        _show(done)
    for note in done.notes:
        err.print(f"[yellow]{escape(note)}[/yellow]")


def _show(done: Measured) -> None:
    from service.bench_page import COLUMNS, facts, row

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # as wide as a terminal at least is
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == COLUMNS[0] else "right")
    for load in done.loads:
        table.add_row(*row(load))
    out.print(table)
    for name, value in facts(done):
        out.print(f"{escape(name)}: {escape(value)}")
