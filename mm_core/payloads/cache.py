"""A cache of bytes with a bound, in which each value is made once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheState:
    """What a cache holds, and how often it had what was asked for."""

    size_bytes: int
    hits: int
    misses: int


class BoundedCache:
    """Bytes by key, at most ``limit_bytes`` of them; the least recently used go first.

    Threads that ask for the same missing key wait for one of them to make it. A value above half the limit is handed
    out and not kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, bytes] = OrderedDict()
        self._size = 0
        self._making: dict[Hashable, threading.Lock] = {}
        self._hits = 0
        self._misses = 0

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return the value of ``key``, made by ``make`` when it is not at hand; an exception of ``make`` passes."""
        value = self.peek(key)
        if value is not None:
            return value
        with self._lock:
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                value = self._values.get(key)
                if value is not None:
                    self._hits += 1
                    return value
                self._misses += 1
            try:
                value = make()
                self._keep(key, value)
            finally:
                with self._lock:
                    self._making.pop(key, None)
            return value

    def peek(self, key: Hashable) -> bytes | None:
        """Return the value of ``key`` if it is at hand."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
                self._hits += 1
            return value

    def state(self) -> CacheState:
        """Return the cache's figures."""
        with self._lock:
            return CacheState(self._size, self._hits, self._misses)

    def _keep(self, key: Hashable, value: bytes) -> None:
        if len(value) > self._limit // 2:
            return
        with self._lock:
            old = self._values.pop(key, None)
            if old is not None:
                self._size -= len(old)
            self._values[key] = value
            self._size += len(value)
            while self._size > self._limit:
                _, dropped = self._values.popitem(last=False)
                self._size -= len(dropped)
