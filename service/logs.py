"""How messages are written: for people or as JSON, to standard error. Question text is never logged."""

from __future__ import annotations

import io
import logging
import sys
from typing import TextIO, cast

import structlog

from service.keys import hidden
from service.settings import Settings


class _StandardError(io.TextIOBase):
    """Whatever standard error is when a message comes: loggers live longer than a redirection of it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(settings: Settings, **always: object) -> None:
    """Write messages as the settings ask for, with what is `always` to be in them."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    last: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            lambda _, __, event: {**event, **always},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            _without_keys(settings),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # In one piece, its line end with it: several processes write to one file.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )


def _without_keys(settings: Settings) -> structlog.types.Processor:
    """Return what leaves keys out of a message, wherever they came from."""
    own = settings.admin_key.get_secret_value() if settings.admin_key else None

    def without(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        for name, value in event.items():
            if isinstance(value, str):
                shown = hidden(value)
                event[name] = shown.replace(own, "...") if own else shown
        return event

    return without
