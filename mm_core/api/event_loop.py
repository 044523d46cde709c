"""waitress's loop for many connections: what nothing happened to is not looked at.

waitress asks every connection before every wait whether it wants to read or write, which with 512 idle bots costs an
active one more than its own request. Here the system's epoll remembers what was answered, and only connections that
something happened to are asked again: an event, or a task thread that worked for them. Once a second all are asked,
after whoever bears with them has looked.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from waitress import wasyncore

FULL_LOOK_SECONDS = 1.0


class EventLoop:
    """Runs the connections of one server; other threads tell it by `touch` and a pulled trigger.

    What is in ``each_second`` is called at least that often, in the loop's thread.
    """

    def __init__(self, connections: dict[int, Any]) -> None:
        self.each_second: list[Callable[[], None]] = []
        self._connections = connections
        self._wanted: dict[int, int] = {}
        self._touched: deque[int] = deque()
        self._look_at_all = threading.Event()
        self._working_for = threading.local()
        self._epoll = select.epoll()

    @contextmanager
    def working_for(self, descriptor: int) -> Iterator[None]:
        """Let this thread's `touch` mean one connection as long as the context lasts."""
        self._working_for.descriptor = descriptor
        try:
            yield
        finally:
            del self._working_for.descriptor

    def touch(self) -> None:
        """Have the connection that this thread works for asked again, all of them where it works for none."""
        descriptor = getattr(self._working_for, "descriptor", None)
        if descriptor is None:
            self._look_at_all.set()
        else:
            self._touched.append(descriptor)

    def opened(self, descriptor: int) -> None:
        """Take a new connection in."""
        self._touched.append(descriptor)

    def forget(self, descriptor: int) -> None:
        """Look after a connection no longer, before it is closed.

        The system would go on telling of it as long as another process keeps it open, as a child does until its program
        begins, and by then its number may be another connection's.
        """
        if self._wanted.pop(descriptor, None):
            self._epoll.unregister(descriptor)

    def run(self) -> None:
        """Wait and answer until an exception ends it."""
        next_full_look = 0.0
        while True:
            now = time.monotonic()
            if now >= next_full_look or self._look_at_all.is_set():
                self._look_at_all.clear()
                next_full_look = now + FULL_LOOK_SECONDS
                for look in self.each_second:
                    look()
                for descriptor in list(self._connections):
                    self._ask(descriptor)
            while self._touched:
                self._ask(self._touched.popleft())
            for descriptor, events in self._epoll.poll(FULL_LOOK_SECONDS):
                connection = self._connections.get(descriptor)
                if connection is not None:
                    wasyncore.readwrite(connection, events)
                    self._ask(descriptor)

    def _ask(self, descriptor: int) -> None:
        connection = self._connections.get(descriptor)
        if connection is None:
            return
        wanted = select.EPOLLIN if connection.readable() else 0
        if connection.writable() and not connection.accepting:
            wanted |= select.EPOLLOUT
        known = self._wanted.get(descriptor, 0)
        if wanted == known:
            return
        try:
            if not wanted:
                self._epoll.unregister(descriptor)
            elif known:
                self._epoll.modify(descriptor, wanted)
            else:
                self._epoll.register(descriptor, wanted)
        except OSError:  # it was closed meanwhile: the system knows it no longer
            wanted = 0
        if wanted:
            self._wanted[descriptor] = wanted
        else:
            self._wanted.pop(descriptor, None)
