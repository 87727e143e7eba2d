"""Watching the corpus folder: what may have changed, told in bursts; content decides what has."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from watchfiles import watch

QUIET_MS = 300
"""Changes are told when nothing more has come for so long: copying a thousand files is one change, saving one
is told while its author still looks at it."""

LONGEST_MS = 10_000
"""Changes that never pause are told this often."""

LOOK_SECONDS = 60
"""How often the whole folder is looked at besides: the system drops events when too many come at once, and
some file systems send none. Looking reads no file that has not been touched."""

TURN_MS = 1000
"""How long one turn of waiting lasts when nothing changes."""

RETRY_SECONDS = 1.0
"""How long to wait for a folder that has gone to come back."""

log = structlog.get_logger()

Told = Callable[[frozenset[str] | None], None]
"""Takes ids and folders (ending in `/`) that may have changed; None when anything may have."""


def follow(folder: Path, told: Told, stop: threading.Event, *, but: Path) -> None:
    """Tell what may have changed in `folder` until `stop` is set; nothing that goes wrong ends it sooner.

    What happens in the folder `but`, where the index may lie within it, is left out.
    """
    polling = False
    while not stop.is_set():
        try:
            polling = _watch(folder, told, stop, but, polling=polling)
        except FileNotFoundError:
            pass  # the index stays as it is until the folder is back
        except OSError as error:
            # Mostly the limit of watches (fs.inotify.max_user_watches); asking file by file needs none.
            log.warning("watching by polling", folder=str(folder), problem=str(error))
            polling = True
        if not stop.wait(RETRY_SECONDS):
            told(None)


def _watch(folder: Path, told: Told, stop: threading.Event, but: Path, *, polling: bool) -> bool:
    root, within = folder.resolve(strict=True), but.resolve()
    changes = watch(
        root,
        watch_filter=None,
        debounce=LONGEST_MS,
        step=QUIET_MS,
        stop_event=stop,
        rust_timeout=TURN_MS,
        yield_on_timeout=True,
        force_polling=polling or None,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    looked = -math.inf
    for found in changes:
        if not root.is_dir():
            raise FileNotFoundError(root)
        # The first turn is over only when the system is watching: from then on nothing is missed, and what
        # happened before it is seen by looking.
        if time.monotonic() - looked > LOOK_SECONDS:
            looked = time.monotonic()
            told(None)
            continue
        touched = touched_ids(root, (path for _, path in found if not Path(path).is_relative_to(within)))
        if touched is None or touched:
            told(touched)
    return polling


def touched_ids(root: Path, paths: Iterable[str]) -> frozenset[str] | None:
    """Return the ids and folders that changed paths stand for; None when the root itself is among them.

    What has gone may have been a file or a folder, so that both are named. Hidden names are no documents.
    """
    found: set[str] = set()
    for path in paths:
        try:
            parts = Path(path).relative_to(root).parts
        except ValueError:
            continue
        if not parts:
            return None
        if any(part.startswith(".") for part in parts):
            continue
        one = "/".join(parts)
        if not Path(path).is_file():
            found.add(f"{one}/")
        if not Path(path).is_dir() or Path(path).is_symlink():
            found.add(one)
    return frozenset(found)
