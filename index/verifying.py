"""Large segments are verified behind their opening: a sample at once, all of it while questions are answered.

To read a segment of a million passages takes ten seconds. What is parsed and what says where everything else
lies is checked before it is used, with blocks from all over the file; then a thread compares the whole
file with its SHA-256. Nothing is copied out of a segment into another before that has ended.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from index.segment import SegmentError, SegmentFile

LARGE = 1 << 28
"""Bytes. Of a file up to this size the SHA-256 takes 0.2 s, and is compared at opening."""

NICENESS = 10
"""Of the thread that compares: questions come first."""


class Verification:
    """The comparison of one file with its SHA-256, under way."""

    def __init__(self, file: SegmentFile, folder: Path, failed: Callable[[str], None]) -> None:
        """Begin; `failed` is told, on the thread that compares, what is wrong. Raises SegmentError."""
        self._file, self._path = file, file.path(folder)
        self._failed = failed
        self._problem: str | None = None
        try:
            # Opened here: by the time it is read it may have been pruned.
            self._bytes = self._path.open("rb")
        except OSError as error:
            raise SegmentError(f"{self._path}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._run, name="verifying", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(AttributeError, OSError):  # a system may know no priority of one thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            with self._bytes:
                seen = hashlib.file_digest(self._bytes, "sha256").hexdigest()
                self._file.compare(self._path, self._bytes.tell(), seen)
        except (SegmentError, OSError) as error:
            self._problem = str(error)
            self._failed(self._problem)

    def wait(self) -> None:
        """Return when the file is known to be whole. Raises SegmentError when it is not."""
        self._thread.join()
        if self._problem is not None:
            raise SegmentError(self._problem)
