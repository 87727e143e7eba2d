"""Look at everything a server needs, and say what to do."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

import structlog
import typer
from rich.markup import escape
from rich.table import Table

from service.checkup import examined
from service.commands.options import FOUND, NOTHING, AsJson, Corpus, Data, Model, err, out, print_json
from service.findings import Finding, failed, warned, well
from service.misconfigured import problems_of, unknown
from service.settings import FILE, Settings

COLOURS = {"pass": "green", "warn": "yellow", "fail": "red"}


def doctor(corpus: Corpus = None, data: Data = None, model: Model = None, as_json: AsJson = False) -> None:
    """Check settings, machine, folders, port, model and index. Exit code 1 when something fails."""
    # What is found is said once, in the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    flags: dict[str, Any] = {"corpus": corpus, "data": data, "model": model}
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except (OSError, ValueError) as error:
        found = [failed("settings", said, remedy) for said, remedy in problems_of(error)]
    else:
        found = [well("settings", f"valid; from flags, PULLQUOTE_* and {FILE}")]
        found += [warned("settings", seen, remedy) for seen, remedy in unknown()]
        with err.status(""):
            found += examined(settings)
    bad = any(one.state == "fail" for one in found)
    if as_json:
        print_json({"well": not bad, "findings": [asdict(one) for one in found]})
    elif out.is_terminal:
        _table(found)
    else:
        for one in found:
            out.print(f"{one.state}  {one.check}: {one.seen}", markup=False)
            if one.remedy is not None:
                out.print(f"      -> {one.remedy}", markup=False)
    raise typer.Exit(NOTHING if bad else FOUND)


def _table(found: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("", "check", "seen, and what to do"):
        table.add_column(column, overflow="fold")
    for one in found:
        said = escape(one.seen) + (f"\n[bold]→ {escape(one.remedy)}[/bold]" if one.remedy is not None else "")
        table.add_row(f"[{COLOURS[one.state]}]{one.state}[/]", escape(one.check), said)
    out.print(table, soft_wrap=False)
