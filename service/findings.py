"""One finding of `pullquote doctor`: what was looked at, how it is, what was seen and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from service.settings import Settings

State = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to."""

    check: str
    state: State
    seen: str
    remedy: str | None = None
    """What to do; None where nothing is."""


Check = Callable[[Settings], Iterator[Finding]]


def well(check: str, seen: str) -> Finding:
    """Return a finding about which nothing is to be done."""
    return Finding(check, "pass", seen)


def warned(check: str, seen: str, remedy: str) -> Finding:
    """Return a finding that may become a problem."""
    return Finding(check, "warn", seen, remedy)


def failed(check: str, seen: str, remedy: str) -> Finding:
    """Return a finding with which a server does not start, or does not do what it should."""
    return Finding(check, "fail", seen, remedy)
