"""A data folder that cannot be written, told apart from everything else that can go wrong on a disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
"""There is no room, which is another matter."""


class NotWritable(OSError):
    """The data folder cannot be written; the message says why and what to do."""

    def __str__(self) -> str:
        return str(self.strerror)


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Have what the block writes in `folder` fail as NotWritable, unless the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL or error.errno is None:
            raise
        raise NotWritable(
            error.errno,
            f"the data folder {folder} cannot be written ({os.strerror(error.errno)}); "
            "set PULLQUOTE_DATA (or --data) to a folder that can",
        ) from error
