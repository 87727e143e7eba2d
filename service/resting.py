"""What is only needed now and then is given back when it was not used for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Resting:
    """Calls a function some seconds after the last use, in a thread of its own."""

    def __init__(self, seconds: float, rest: Callable[[], None]) -> None:
        """Call `rest` when `used` was not called for `seconds`; not before its first call."""
        self._seconds = seconds
        self._rest = rest
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def used(self) -> None:
        """Begin to wait anew."""
        with self._lock:
            self._cancel()
            self._timer = threading.Timer(self._seconds, self._rest)
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """Wait no longer."""
        with self._lock:
            self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
