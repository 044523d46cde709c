"""Threads that work beside the requests until the process ends."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod

IDLE_PRIORITY = 10
"""Niceness of the threads that clean and make payloads: requests come first."""


class BackgroundThread(ABC):
    """A daemon thread that works from `start` to `stop`, once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is under way is finished first."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @abstractmethod
    def _run(self) -> None:
        """Work until ``_stop`` is set."""


def come_last() -> None:
    """Give way, in this thread, to all others: see `IDLE_PRIORITY`."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), IDLE_PRIORITY)
