"""Which confidence an answer must have: set by hand, else fitted to the owner's questions, else 0.4."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from service.answer import THRESHOLD
from service.settings import Settings

FILE = "threshold.json"
"""In the data folder; written by `pullquote eval --fit`."""

log = structlog.get_logger()

_read: dict[Path, tuple[tuple[int, int], float | None]] = {}
"""By path: a mark of the file as it was read, and the threshold in it."""


def threshold_of(settings: Settings) -> float:
    """Return the least confidence of an answer that is given, 0 to 1; a newly fitted one counts at once."""
    if settings.min_confidence is not None:
        return settings.min_confidence
    path = settings.data / FILE
    try:
        about = path.stat()
    except OSError:
        return THRESHOLD
    mark = (about.st_ino, about.st_mtime_ns)
    if path not in _read or _read[path][0] != mark:
        _read[path] = (mark, _fitted(path))
    fitted = _read[path][1]
    return THRESHOLD if fitted is None else fitted


def _fitted(path: Path) -> float | None:
    try:
        value = float(json.loads(path.read_text(encoding="utf-8"))["threshold"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("fitted threshold cannot be read, the default holds", path=str(path), problem=str(error))
        return None
    return value if 0 <= value <= 1 else None
