"""Remembers rows computed lately."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)


class Recent(Generic[Key]):
    """At most ``limit`` rows by key; the one not asked for the longest goes
    first. Safe to call from many threads at once."""

    def __init__(self, limit: int):
        self._limit = limit
        self._lock = threading.Lock()
        self._rows: OrderedDict[Key, np.ndarray] = OrderedDict()

    def rows(self, keys: Sequence[Key], compute: Callable[[list[Key]], np.ndarray]) -> list[np.ndarray]:
        """A row for each key; ``compute`` gives those not remembered, each once."""
        found: dict[Key, np.ndarray] = {}
        with self._lock:
            for key in keys:
                if key in self._rows:
                    self._rows.move_to_end(key)
                    found[key] = self._rows[key]
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            found.update(zip(missing, compute(missing), strict=True))
            with self._lock:
                self._rows.update((key, found[key]) for key in missing)
                while len(self._rows) > self._limit:
                    self._rows.popitem(last=False)
        return [found[key] for key in keys]
