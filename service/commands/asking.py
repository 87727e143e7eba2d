"""Ask, search, measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.progress import track

from service.commands.options import (
    FOUND,
    MISUSE,
    NOTHING,
    AsJson,
    AsOf,
    Corpus,
    Data,
    Documents,
    Fields,
    Model,
    Question,
    TopK,
    err,
    explained,
    out,
    print_json,
    settings_of,
)
from service.filters import AT_TERMINAL, wanted_of
from service.settings import Settings

Item = TypeVar("Item")


def ask(
    question: Question,
    top_k: TopK = 5,
    documents: Documents = None,
    fields: Fields = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show how the decision was made.")] = False,
    as_of: AsOf = None,
    corpus: Corpus = None,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Answer one question: the quote, its place, its headings. Exit code 1 when there is no answer."""
    settings = settings_of(corpus=corpus, data=data, model=model)
    from service import show, wire
    from service.answer import ask as put
    from service.outside import open_index
    from service.threshold import threshold_of

    with explained():
        opened = open_index(settings, as_of)
    reply = put(
        opened,
        question,
        top_k=top_k,
        documents=documents or (),
        fields=wanted_of(fields or (), AT_TERMINAL),
        threshold=threshold_of(settings),
    )
    body = wire.ask_reply(opened.snapshot, question, reply, explain=explain)
    if as_json:
        print_json(body.model_dump(mode="json", by_alias=True, exclude=None if explain else {"trace"}))
    else:
        show.answer(out, body)
    raise typer.Exit(FOUND if body.status == "answered" else NOTHING)


def search(
    question: Question,
    top_k: TopK = 5,
    documents: Documents = None,
    fields: Fields = None,
    as_of: AsOf = None,
    corpus: Corpus = None,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Show the passages nearest to a question. Exit code 1 when there is none."""
    settings = settings_of(corpus=corpus, data=data, model=model)
    from service import show, wire
    from service.finding import find
    from service.outside import open_index

    with explained():
        opened = open_index(settings, as_of)
    wanted = wanted_of(fields or (), AT_TERMINAL)
    found = find(opened, question, top_k=top_k, documents=documents or (), fields=wanted)
    body = wire.search_reply(opened.snapshot, question, found)
    if as_json:
        print_json(body.model_dump(mode="json", by_alias=True))
    else:
        show.passages(out, body.passages)
    raise typer.Exit(FOUND if body.passages else NOTHING)


def _bound(text: str) -> Any:
    return typer.Option(help=text, min=0, max=1, show_default=False)


def evaluate(
    file: Annotated[Path, typer.Argument(help="Questions with known answers.", exists=True, dir_okay=False)],
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="Ask this server.", show_default=False)] = None,
    key: Annotated[str | None, typer.Option(help="Key for that server.", show_default=False)] = None,
    threshold: Annotated[float | None, _bound("Judge by this threshold, not by the one in use.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page.", show_default=False)] = None,
    min_right: Annotated[float | None, _bound("Fail when fewer are right in all.")] = None,
    max_wrong: Annotated[float | None, _bound("Fail when more of the answers given are wrong.")] = None,
    min_recall5: Annotated[float | None, _bound("Fail when recall@5 is less.")] = None,
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Compare two kept versions.", metavar="OLD NEW", show_default=False),
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="Fit the threshold to these questions.")] = False,
    max_error: Annotated[float, typer.Option(help="Wrong answers that --fit allows.", min=0, max=1)] = 0.05,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Measure against questions with known answers (docs/measuring.md). Exit code 1 when a gate fails."""
    settings = settings_of(data=data, model=model)
    from service import evaluate as measuring
    from service import summary
    from service.askers import CannotMeasure

    if diff is not None:
        _show_difference(settings, file, split, diff, threshold, as_json=as_json)

    run = measuring.Run(file, split, url, key, threshold, max_error if fit else None, report)
    gates = measuring.gates(min_right=min_right, max_wrong=max_wrong, min_recall5=min_recall5)
    with explained():
        try:
            done = measuring.measure(settings, run, lambda questions: _track(questions, "asking"))
        except CannotMeasure as error:
            err.print(f"[red]{escape(str(error))}[/red]")
            raise typer.Exit(MISUSE) from error
        failures = measuring.failures(done, gates)
        if report is not None:
            from service.report import page

            report.write_text(page(done, failures), encoding="utf-8")
    if as_json:
        print_json(summary.as_json(done, failures))
    else:
        summary.show(out, done)
    for one in (*done.warnings, *failures):
        err.print(f"[yellow]{escape(one)}[/yellow]")
    raise typer.Exit(NOTHING if failures else FOUND)


def _show_difference(
    settings: Settings,
    file: Path,
    split: str | None,
    versions: tuple[str, str],
    threshold: float | None,
    *,
    as_json: bool,
) -> None:
    """Print which questions gain, change or lose their answer from one version to the other.

    Exits with code 1 when any loses it.
    """
    from service.gate import differences, replies
    from service.known import BadQuestions, read_questions
    from service.outside import open_index
    from service.threshold import threshold_of

    least = threshold_of(settings) if threshold is None else threshold
    with explained():
        try:
            known = read_questions(file, split)
        except BadQuestions as error:
            err.print(f"[red]{escape(str(error))}[/red]")
            raise typer.Exit(MISUSE) from error
        indexes = [open_index(settings, version) for version in versions]
    before, after = (replies(_track(known, "asking"), index, least) for index in indexes)
    found = differences(known, before, after)
    if as_json:
        print_json({"differences": [asdict(one) for one in found]})
    for one in found if not as_json else ():
        out.print(f"[bold]{one.kind}[/bold]  {escape(one.question)}")
        for said in (one.before, one.after):
            mark = "right" if said.right else "wrong"
            out.print(f"  {mark}: {escape(said.answer) if said.answer else 'no answer'}")
    if not found and not as_json:
        out.print(f"all {len(known)} questions get the same answers")
    raise typer.Exit(NOTHING if any(one.kind == "lost" for one in found) else FOUND)


def _track(items: Sequence[Item], doing: str) -> Iterable[Item]:
    return track(items, doing, console=err, transient=True, disable=not err.is_terminal)
