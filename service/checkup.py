"""What `pullquote doctor` finds: checks, each with what was seen and what to do about it.

Nothing is changed and nothing is loaded that is not looked at. A check that itself breaks is a failed one:
the others are made all the same.
"""

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


def examined(settings: Settings) -> Iterator[Finding]:
    """Yield what all checks find, one after the other."""
    # They bring the index and its libraries along, which a command that only says what is wrong with a
    # setting can do without.
    from service import checkup_index, checkup_machine, checkup_server

    for part in (checkup_machine, checkup_server, checkup_index):
        for check in part.CHECKS:
            yield from _made(check, settings)


def _made(check: Check, settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except Exception as error:
        name = check.__name__.replace("_", " ")
        yield failed(
            name, f"the check broke: {type(error).__name__}: {error}", "report this with the whole output"
        )
