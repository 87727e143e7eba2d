"""How far a build is, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from index.progress import Progress
from service.commands.options import err

LINE_SECONDS = 30.0
"""Between two lines where there is no terminal: an hour's build leaves 120 in a log, a short one none."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Give what a build reports to, and show it on standard error until the block is left."""
    progress = Progress()
    if not err.is_terminal:
        progress.listeners.append(lines(err.print))
        yield progress
        return
    bar = Bar(
        TextColumn("indexing"), BarColumn(), TextColumn("{task.fields[said]}"), console=err, transient=True
    )
    with bar:
        task = bar.add_task("", total=None, said="")
        progress.listeners.append(
            lambda now: bar.update(
                task, completed=now.done, total=now.expected if now.passages else None, said=said(now)
            )
        )
        yield progress


def lines(
    put: Callable[[str], object], clock: Callable[[], float] = time.monotonic
) -> Callable[[Progress], None]:
    """Return a listener that gives `put` a line every LINE_SECONDS, the first when as many have passed."""
    last = clock()

    def listener(now: Progress) -> None:
        nonlocal last
        if clock() - last >= LINE_SECONDS and now.passages:
            last = clock()
            put(f"indexing: {said(now)}")

    return listener


def said(now: Progress) -> str:
    """Return how far a build is in words: passages done and expected, how many a second, what is left.

    The pace is that of encoding: what was taken over from an index or an interrupted build has none.
    """
    if not now.passages:
        return "reading documents"
    about = "" if now.bytes >= now.total_bytes else "about "
    parts = [f"{now.done} of {about}{now.expected} passages"]
    if now.per_second is not None and now.seconds_left is not None:
        parts += [f"{now.per_second:.0f}/s", f"{timedelta(seconds=round(now.seconds_left))} left"]
    return " · ".join(parts)
