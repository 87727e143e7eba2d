"""One of several processes that answer on one port.

`python -m service.worker LINE PORT TALLY`, each a descriptor: see service.line, listening and sharing.

Started by service.supervisor, which it hears from over the line and without which it ends.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from service import answer, logs
from service.app import create_app
from service.crew import Place
from service.exits import code_of, said
from service.finding import cores_each
from service.line import Line
from service.listening import inherited
from service.server import Gentle, leave, open_keeper
from service.settings import Settings
from service.sharing import Tally


def main() -> None:
    """Serve until SIGTERM, or until the supervisor is gone."""
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever pressed Ctrl-C has told it to the supervisor, too
    line = Line(int(sys.argv[1]))
    orders = line.begin()
    settings = Settings(**orders.settings)
    logs.configure(settings, worker=orders.number)
    answer.keep_to(cores_each(settings.workers))
    listener = inherited(int(sys.argv[2]), settings.host)
    tally = Tally(int(sys.argv[3]), settings.workers, orders.number)
    os.close(int(sys.argv[3]))
    place = Place(
        number=orders.number,
        shared=Path(orders.shared),
        writes=orders.writes,
        counter=Path(orders.counter) if orders.counter else None,
        announce=line.announce,
        wait_until_alone=line.wait_until_alone,
    )
    try:
        app = create_app(settings, place)
        line.attend(app.state.live)
        open_keeper(app)
        Gentle(app, settings, ready=line.ready, tally=tally).run(sockets=[listener])
    except Exception as error:
        code = code_of(error)
        if code is None:
            raise
        line.failed(said(error), code)
        raise SystemExit(code) from error


if __name__ == "__main__":
    main()
