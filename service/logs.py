"""How messages are written: for people or as JSON, to standard error, each whole and in lines of its own.

What is asked is never among them unless PULLQUOTE_LOG_QUESTIONS says so. An error that nobody foresaw may
have it in its own words, so without that setting its type and place are written, not what it says.
"""

from __future__ import annotations

import io
import logging
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.keys import hidden
from service.settings import Settings

OWN_WORDS = (OSError,)
"""Errors that say what the system has told, which never knew a question."""

TRUSTED_LOGGERS = ("uvicorn",)
"""Libraries whose messages have nothing in them of what a request asks."""

WITHHELD = "a library has logged a message; PULLQUOTE_LOG_QUESTIONS=true shows what it says"


class _StandardError(io.TextIOBase):
    """Whatever standard error is when a message comes: loggers live longer than a redirection of it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(settings: Settings, **always: object) -> None:
    """Write messages as the settings ask for, with what is `always` to be in them; those of libraries too."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    last: list[Processor] = (
        [structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[
            lambda _, __, event: {**event, **always},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _Exceptions(in_full=settings.log_questions),
            _without_keys(settings),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # In one piece, its line end with it: several processes write to one file.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _Libraries)]
    root.addHandler(_Libraries(in_full=settings.log_questions))


def _without_keys(settings: Settings) -> Processor:
    """Return what leaves keys out of a message, wherever they came from."""
    own = settings.admin_key.get_secret_value() if settings.admin_key else None

    def without(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        for name, value in event.items():
            if isinstance(value, str):
                shown = hidden(value)
                event[name] = shown.replace(own, "...") if own else shown
        return event

    return without


class _Libraries(logging.Handler):
    """Takes the warnings of libraries, which log by Python's own means, among our messages."""

    def __init__(self, *, in_full: bool) -> None:
        super().__init__(logging.WARNING)
        self._in_full = in_full
        self._log = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        """Log a message of a library."""
        try:
            trusted = record.name.partition(".")[0] in TRUSTED_LOGGERS
            self._log.log(
                record.levelno,
                record.getMessage() if self._in_full or trusted else WITHHELD,
                logger=record.name,
                place=f"{record.filename}:{record.lineno}",
                exc_info=record.exc_info,
            )
        except Exception:
            self.handleError(record)


class _Exceptions:
    """Puts an error, with those that led to it, into a message as text."""

    def __init__(self, *, in_full: bool) -> None:
        self._in_full = in_full

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        given = event.pop("exc_info", None)
        if given is True:
            given = sys.exc_info()
        error = given[1] if isinstance(given, tuple) else given
        if isinstance(error, BaseException):
            event["exception"] = "".join(self._lines(error)).rstrip("\n")
        return event

    def _lines(self, error: BaseException) -> Iterator[str]:
        """Yield the lines of an error, the one that led to it first."""
        if self._in_full:
            yield from traceback.format_exception(error)
            return
        chain: list[BaseException] = []
        one: BaseException | None = error
        while one is not None and one not in chain:
            chain.append(one)
            one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        for each in reversed(chain):
            yield from _frames(each.__traceback__)
            yield f"{type(each).__module__}.{type(each).__qualname__}"
            yield f": {each}\n" if isinstance(each, OWN_WORDS) else "\n"


def _frames(found: TracebackType | None) -> Iterator[str]:
    for frame in traceback.extract_tb(found):
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n'


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Return a message whose words can neither steer a terminal nor look like another message."""
    return {name: _shown(value, name) for name, value in event.items()}


def _shown(value: object, name: str) -> object:
    if not isinstance(value, str):
        return value
    if name == "exception":
        return "\n".join(f"  {_escaped(line)}" for line in value.split("\n"))
    return _escaped(value)


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
