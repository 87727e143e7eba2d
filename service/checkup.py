"""All checks of `pullquote doctor`, made one after the other.

Nothing is changed and nothing is loaded that is not looked at. A check that itself breaks is a failed one:
the others are made all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.findings import Check, Finding, failed
from service.settings import Settings


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
