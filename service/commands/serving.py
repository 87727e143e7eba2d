"""Serve, and what a server is made from: its description, its encoder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from index.encoder import EncoderError
from index.models import encoder_folder
from index.store import NoIndex, Store
from service.commands.options import MISUSE, Corpus, Data, Model, err, explained, out, settings_of
from service.listening import listen
from service.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", show_default=False)] = None,
    corpus: Corpus = None,
    data: Data = None,
    model: Model = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that answer, side by side.", show_default=False)
    ] = None,
    watch: Annotated[
        bool | None,
        typer.Option("--watch/--no-watch", help="Follow every change in the folder.", show_default=False),
    ] = None,
) -> None:
    """Answer questions over HTTP; an index is built first where there is none."""
    settings = settings_of(
        host=host, port=port, workers=workers, corpus=corpus, data=data, model=model, watch=watch
    )
    with explained():
        if settings.gate is not None:
            from service.gate import Gate

            Gate(settings, settings.gate).questions()  # read again for every new snapshot
        if not _has_index(settings):
            if settings.read_only:
                raise NoIndex(
                    f"{settings.data} holds no index, and a server that only reads makes none; "
                    "set PULLQUOTE_READ_ONLY=false, or PULLQUOTE_DATA to the folder of the one that writes"
                )
            listen(settings.host, settings.port).close()  # before it has taken its time
            _build_aside(settings)
    with explained():
        if settings.workers > 1:
            from service.supervisor import become

            become(settings)
        from service.server import run

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


def export_model(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")], model: Model = None
) -> None:
    """Export the model for serving without torch; MODEL can then be set to that folder."""
    settings = settings_of(model=model)
    from index.export import export_model as export
    from index.export import load_model

    with explained():
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            err.print(f"{escape(str(folder))} is not empty; give a new folder")
            raise typer.Exit(MISUSE)
        made = export(load_model(settings.model), settings.model, folder)
    out.print(f"{escape(str(folder))}: {escape(made.model)}, fingerprint {made.fingerprint[:16]}")


def export_openapi() -> None:
    """Print the OpenAPI description of the REST interface."""
    from service.app import create_app

    document = create_app(settings_of()).openapi()
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
