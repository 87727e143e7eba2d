"""The tools for programs that start a server of their own and talk to it over standard input and output."""

from __future__ import annotations

import signal

from service.commands.options import Data, Model, explained, settings_of


def mcp(data: Data = None, model: Model = None) -> None:
    """Offer the tools of docs/mcp.md over standard input and output, until the input ends."""
    settings = settings_of(data=data, model=model)
    from service.doors.tools import Desk
    from service.journal import Journal
    from service.live import Live

    live = Live(settings)
    with explained():
        live.open()
    import anyio

    from service.doors.mcp_stdio import over_stdio

    journal = Journal(settings)
    journal.open()
    # Only the journal is ever written, and that is whole at any moment: an interrupt may end this at once; it
    # would wait for the next line otherwise.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        anyio.run(over_stdio, Desk(live, journal.note))
    finally:
        journal.close()
        live.close()
