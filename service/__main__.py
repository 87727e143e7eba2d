"""The `pullquote` command. Exit code 0: done; 1: a negative finding (no answer, damage); 2: misuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

from corpus.folder import CorpusError
from index.build import Progress as BuildProgress
from index.encoder import EncoderError
from index.manifest import SnapshotError
from index.models import encoder_folder
from index.store import AlreadyServed, Locked, NoIndex, Store
from service import logs
from service.filters import AT_TERMINAL, is_pair, wanted_of
from service.settings import FILE, Settings

app = typer.Typer(
    name="pullquote",
    help="Ask your documents; get the quote.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Without emoji: `:x:` in a document is what it says, not a picture.
out = Console(soft_wrap=True, highlight=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

FOUND, NOTHING, MISUSE = 0, 1, 2

Item = TypeVar("Item")


def _readable(text: str) -> str:
    """Return an argument as text that is valid, whatever bytes came in."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _pairs(given: list[str] | None) -> list[str]:
    """Return fields to filter by; exit 2 where one is not written as such."""
    if not all(is_pair(one, AT_TERMINAL) for one in given or ()):
        raise typer.BadParameter("write a field as name=value, such as lang=en")
    return [_readable(one) for one in given or ()]


Corpus = Annotated[Path | None, typer.Option(help="Folder of documents.", show_default=False)]
Data = Annotated[Path | None, typer.Option(help="Folder of the index.", show_default=False)]
Model = Annotated[str | None, typer.Option(help="Model name or folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TopK = Annotated[int, typer.Option(help="How many passages.", min=1, max=1000)]
Question = Annotated[str, typer.Argument(help="The question.", callback=_readable)]
Documents = Annotated[list[str] | None, typer.Option("--in", help="Only documents whose id begins so.")]
FIELDS = "Only documents with this front matter; of a name given several times, any of its values."
Field = typer.Option("--field", help=FIELDS, metavar="NAME=VALUE", callback=_pairs, show_default=False)
Fields = Annotated[list[str] | None, Field]


def _settings(**flags: Any) -> Settings:
    """Return the settings with the given flags on top; exit 2 where one is wrong."""
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        for one in error.errors():
            name = ".".join(map(str, one["loc"]))
            err.print(f"setting {escape(name)}: {escape(one['msg'])}")
        err.print(f"see docs/settings.md; settings come from PULLQUOTE_* and {FILE}")
        raise typer.Exit(MISUSE) from error
    except (OSError, ValueError) as error:
        err.print(f"{FILE} cannot be read: {escape(str(error))}")
        raise typer.Exit(MISUSE) from error
    logs.configure(settings)
    return settings


@contextmanager
def _explained() -> Iterator[None]:
    """Turn our errors into one line and an exit code."""
    try:
        yield
    except (NoIndex, SnapshotError) as error:
        err.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(NOTHING) from error
    except (AlreadyServed, Locked, CorpusError, EncoderError) as error:
        err.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(MISUSE) from error
    except OSError as error:
        err.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(NOTHING) from error


def _print_json(values: object) -> None:
    """Print JSON in which what could steer a terminal is escaped; read again, it is the same."""
    text = json.dumps(values, indent=2, ensure_ascii=False)
    shown = "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)
    out.print(shown, markup=False)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", show_default=False)] = None,
    corpus: Corpus = None,
    data: Data = None,
    model: Model = None,
) -> None:
    """Answer questions over HTTP; an index is built first where there is none."""
    settings = _settings(host=host, port=port, corpus=corpus, data=data, model=model)
    with _explained():
        if not _has_index(settings):
            if settings.read_only:
                raise NoIndex(f"{settings.data} holds no index, and a server that only reads makes none")
            _build_aside(settings)
    from service.server import run

    with _explained():
        run(settings)


def _has_index(settings: Settings) -> bool:
    """Return whether a snapshot and its encoder are there; what is missing or damaged is said and made."""
    store = Store(settings.data)
    try:
        snapshot = store.open_current(lambda problem: err.print(f"[yellow]{escape(problem)}[/yellow]"))
        encoder_folder(store, settings.model, snapshot.manifest.fingerprint)
    except NoIndex:
        return False
    except EncoderError as error:
        err.print(f"[yellow]{escape(str(error))}[/yellow]")
        return False
    return True


def _build_aside(settings: Settings) -> None:
    """Build in a process of its own, so that this one never loads what only building needs."""
    command = [sys.executable, "-m", "service", "index"]
    flags = {"--corpus": settings.corpus, "--data": settings.data, "--model": settings.model}
    for name, value in flags.items():
        command += [name, str(value)]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


@app.command()
def index(
    full: Annotated[bool, typer.Option("--full", help="Use nothing of the index that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    corpus: Corpus = None,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Make the index follow the corpus folder. A running server takes it up by itself."""
    settings = _settings(corpus=corpus, data=data, model=model)
    from service.outside import build_index, plan_index

    with _explained():
        if dry_run:
            counts = plan_index(settings, full=full)
        else:
            with _progress_bar() as progress:
                counts = build_index(settings, progress, full=full)
    values = {name: getattr(counts, name) for name in counts.__slots__}
    if as_json:
        _print_json(values)
        return
    done = "would encode" if dry_run else "encoded"
    out.print(
        f"{values['passages']} passages ({done} {values['encoded']}); documents: {values['added']} added, "
        f"{values['changed']} changed, {values['removed']} removed, {values['unchanged']} unchanged, "
        f"{values['skipped']} skipped"
    )


@contextmanager
def _progress_bar() -> Iterator[BuildProgress]:
    """Show a bar on standard error while a build runs."""
    bar = Progress(
        TextColumn("indexing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("passages · {task.speed:.0f}/s" if err.is_terminal else "passages"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,  # elsewhere all that would be left of it is an empty line
    )
    progress = BuildProgress()
    with bar:
        task = bar.add_task("", total=None)
        progress.listeners.append(lambda now: bar.update(task, completed=now.done, total=now.expected))
        yield progress


@app.command()
def ask(
    question: Question,
    top_k: TopK = 5,
    documents: Documents = None,
    fields: Fields = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show how the decision was made.")] = False,
    corpus: Corpus = None,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Answer one question: the quote, its place, its headings. Exit code 1 when there is no answer."""
    settings = _settings(corpus=corpus, data=data, model=model)
    from service import show, wire
    from service.answer import ask as put
    from service.outside import open_index
    from service.threshold import threshold_of

    with _explained():
        opened = open_index(settings)
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
        _print_json(body.model_dump(mode="json", by_alias=True))
    else:
        show.answer(out, body)
    raise typer.Exit(FOUND if body.status == "answered" else NOTHING)


@app.command()
def search(
    question: Question,
    top_k: TopK = 5,
    documents: Documents = None,
    fields: Fields = None,
    corpus: Corpus = None,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Show the passages nearest to a question. Exit code 1 when there is none."""
    settings = _settings(corpus=corpus, data=data, model=model)
    from service import show, wire
    from service.answer import ask as put
    from service.outside import open_index

    with _explained():
        opened = open_index(settings)
    wanted = wanted_of(fields or (), AT_TERMINAL)
    reply = put(opened, question, top_k=top_k, documents=documents or (), fields=wanted)
    body = wire.search_reply(opened.snapshot, question, reply)
    if as_json:
        _print_json(body.model_dump(mode="json", by_alias=True))
    else:
        show.passages(out, body.passages)
    raise typer.Exit(FOUND if body.passages else NOTHING)


def _bound(text: str) -> Any:
    return typer.Option(help=text, min=0, max=1, show_default=False)


@app.command("eval")
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
    fit: Annotated[bool, typer.Option("--fit", help="Fit the threshold to these questions.")] = False,
    max_error: Annotated[float, typer.Option(help="Wrong answers that --fit allows.", min=0, max=1)] = 0.05,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Measure against questions with known answers (docs/measuring.md). Exit code 1 when a gate fails."""
    settings = _settings(data=data, model=model)
    from service import evaluate as measuring
    from service import summary
    from service.askers import CannotMeasure

    run = measuring.Run(file, split, url, key, threshold, max_error if fit else None, report)
    gates = measuring.gates(min_right=min_right, max_wrong=max_wrong, min_recall5=min_recall5)
    with _explained():
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
        _print_json(summary.as_json(done, failures))
    else:
        summary.show(out, done)
    for one in (*done.warnings, *failures):
        err.print(f"[yellow]{escape(one)}[/yellow]")
    raise typer.Exit(NOTHING if failures else FOUND)


def _track(items: Sequence[Item], doing: str) -> Iterable[Item]:
    return track(items, doing, console=err, transient=True, disable=not err.is_terminal)


@app.command()
def verify(data: Data = None, as_json: AsJson = False) -> None:
    """Compare every kept snapshot with its checksums. Exit code 1 when a file is damaged."""
    settings = _settings(data=data)
    store = Store(settings.data)
    found: dict[str, str | None] = {}
    for version in store.kept():
        try:
            store.open(version)
            found[version] = None
        except SnapshotError as error:
            found[version] = str(error)
    if as_json:
        _print_json({"snapshots": found})
    elif not found:
        err.print(f"{escape(str(settings.data))} holds no snapshot; run `pullquote index`")
    for version, problem in found.items() if not as_json else ():
        out.print(f"{version}  {'whole' if problem is None else escape(problem)}")
    raise typer.Exit(NOTHING if not found or any(found.values()) else FOUND)


@app.command("export-model")
def export_model(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")], model: Model = None
) -> None:
    """Export the model for serving without torch; MODEL can then be set to that folder."""
    settings = _settings(model=model)
    from index.export import export_model as export
    from index.export import load_model

    with _explained():
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            err.print(f"{escape(str(folder))} is not empty; give a new folder")
            raise typer.Exit(MISUSE)
        made = export(load_model(settings.model), settings.model, folder)
    out.print(f"{escape(str(folder))}: {escape(made.model)}, fingerprint {made.fingerprint[:16]}")


@app.command("export-openapi")
def export_openapi() -> None:
    """Print the OpenAPI description of the REST interface."""
    from service.app import create_app

    document = create_app(_settings()).openapi()
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
