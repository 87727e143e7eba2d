"""A few things remembered, those used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Memory:
    """At most so many values by their keys; where there is one more, the one unused for longest goes."""

    def __init__(self, most: int) -> None:
        """Remember `most` values. Any thread may ask and tell."""
        self._most = most
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """Return the value of `key`, or None."""
        with self._lock:
            value = self._held.get(key)
            if value is not None:
                self._held.move_to_end(key)
            return value

    def put(self, key: Hashable, value: Any) -> None:
        """Remember a value, which is not None."""
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
