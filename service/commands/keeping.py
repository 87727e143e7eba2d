"""Keep the index: build it, follow the folder, verify it, go back, carry it to another machine."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from index.manifest import SnapshotError
from index.progress import Progress
from index.store import Locked, NoIndex, Store
from service.commands.options import (
    FOUND,
    MISUSE,
    NOTHING,
    AsJson,
    Corpus,
    Data,
    Model,
    err,
    explained,
    out,
    print_json,
    settings_of,
)
from service.commands.progress import shown_progress
from service.jobs import Counts


def index(
    full: Annotated[bool, typer.Option("--full", help="Use nothing of the index that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    corpus: Corpus = None,
    data: Data = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Make the index follow the corpus folder. A running server takes it up by itself."""
    settings = settings_of(corpus=corpus, data=data, model=model)
    from service.outside import build_index, plan_index

    with explained():
        if dry_run:
            counts = plan_index(settings, full=full)
        else:
            with shown_progress() as progress:
                counts = build_index(settings, progress, full=full)
    values = {name: getattr(counts, name) for name in counts.__slots__}
    if as_json:
        print_json(values)
        return
    out.print(said(counts, "would encode" if dry_run else "encoded"))


def said(counts: Counts, done: str = "encoded") -> str:
    """Return what a refresh came to, in one line."""
    return (
        f"{counts.passages} passages ({done} {counts.encoded}); documents: {counts.added} added, "
        f"{counts.changed} changed, {counts.removed} removed, {counts.renamed} renamed, "
        f"{counts.unchanged} unchanged, {counts.skipped} skipped"
    )


def verify(data: Data = None, as_json: AsJson = False) -> None:
    """Compare every kept snapshot with its checksums. Exit code 1 when a file is damaged."""
    settings = settings_of(data=data)
    store = Store(settings.data)
    found: dict[str, str | None] = {}
    for version in store.kept():
        try:
            store.open(version)
            found[version] = None
        except SnapshotError as error:
            found[version] = str(error)
    if as_json:
        print_json({"snapshots": found})
    elif not found:
        err.print(f"{escape(str(settings.data))} holds no snapshot; run `pullquote index`")
    for version, problem in found.items() if not as_json else ():
        out.print(f"{version}  {'whole' if problem is None else escape(problem)}")
    raise typer.Exit(NOTHING if not found or any(found.values()) else FOUND)


def watch(corpus: Corpus = None, data: Data = None, model: Model = None) -> None:
    """Follow the corpus folder until interrupted. A running server takes every change up by itself."""
    settings = settings_of(corpus=corpus, data=data, model=model)
    from service.outside import build_index
    from service.watching import follow

    store = Store(settings.data)

    def told(touched: frozenset[str] | None) -> None:
        try:
            with explained():
                counts = build_index(settings, Progress(), only=touched, store=store)
        except typer.Exit:
            return  # what was wrong has been said; the next change may put it right
        if touched is not None or counts.changes:
            out.print(said(counts))

    with explained():
        if store.pinned():
            raise Locked(
                f"{settings.data} was set back to an older snapshot; `pullquote index` makes it follow again"
            )
    told(None)
    err.print(f"watching {escape(str(settings.corpus))}; Ctrl+C ends it")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # The watcher takes an interrupt for its own end alone.
        signal.signal(number, lambda *_: stop.set())
    follow(settings.corpus, told, stop, but=settings.data)


def snapshots(data: Data = None, as_json: AsJson = False) -> None:
    """List the kept snapshots, the one in use first. Exit code 1 when there is none."""
    settings = settings_of(data=data)
    store = Store(settings.data)
    found = []
    for number, version in enumerate(store.kept()):
        entry: dict[str, object] = {"version": version, "in_use": number == 0}
        entry["pinned"] = number == 0 and store.pinned()
        try:
            manifest = store.manifest(version)
            entry |= {
                "built_at": manifest.built_at,
                "documents": manifest.documents,
                "passages": manifest.passages,
                "bytes": sum(one.file.bytes for one in manifest.segments),
                "problem": None,
            }
        except SnapshotError as error:
            entry["problem"] = str(error)
        found.append(entry)
    if as_json:
        print_json({"snapshots": found})
    elif not found:
        err.print(f"{escape(str(settings.data))} holds no snapshot; run `pullquote index`")
    for one in found if not as_json else ():
        about = (
            one["problem"] or f"{one['built_at']}  {one['documents']} documents  {one['passages']} passages"
        )
        mark = ("in use, set back to" if one["pinned"] else "in use") if one["in_use"] else ""
        out.print(f"{one['version']}  {escape(str(about))}  {mark}".rstrip())
    raise typer.Exit(FOUND if found else NOTHING)


Version = Annotated[str, typer.Argument(help="A version that `pullquote snapshots` lists.")]


def rollback(version: Version, data: Data = None) -> None:
    """Go back to a kept snapshot; it stays in use until `pullquote index` or a reindex that is asked for."""
    settings = settings_of(data=data)
    store = Store(settings.data)
    with explained(), store.writing():
        if version not in store.kept():
            raise NoIndex(f"no snapshot {version} is kept; kept are {', '.join(store.kept()) or 'none'}")
        store.open(version)
        store.point(version, pinned=True)
    out.print(f"{version} is in use")


snapshot = typer.Typer(name="snapshot", help="Carry a snapshot to another machine.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The file that holds the snapshot.", dir_okay=False)]


@snapshot.command("export")
def export_snapshot(
    file: File,
    version: Annotated[str | None, typer.Option(help="Not the one in use.", show_default=False)] = None,
    without_encoder: Annotated[
        bool, typer.Option("--without-encoder", help="Leave out the encoder, some 90 MB.")
    ] = False,
    data: Data = None,
) -> None:
    """Write a snapshot, verified, and its encoder into one file."""
    settings = settings_of(data=data)
    from index.bundle import write_bundle

    store = Store(settings.data)
    with explained():
        if file.exists():
            err.print(f"{escape(str(file))} exists; give the name of a new file")
            raise typer.Exit(MISUSE)
        manifest = write_bundle(store, version, file, encoder=not without_encoder)
    out.print(f"{escape(str(file))}: {manifest.version}, {file.stat().st_size} bytes")


@snapshot.command("import")
def import_snapshot(file: File, data: Data = None, model: Model = None) -> None:
    """Take a snapshot from a file, verify it, and use it until `pullquote index` is run."""
    settings = settings_of(data=data, model=model)
    from index.bundle import read_bundle

    store = Store(settings.data)
    with explained(), store.writing():
        manifest = read_bundle(store, file, settings.model)
    out.print(f"{manifest.version} is in use: {manifest.documents} documents, {manifest.passages} passages")
