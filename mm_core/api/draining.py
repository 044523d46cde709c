"""An end that cuts no answer: signals become a drain."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from mm_core.api.listening import channels, listeners

DRAIN_SECONDS = 8.0
"""Longest wait for answers in flight: a supervisor that kills after ten seconds never cuts one that could be sent."""


class StopSignals:
    """Turns SIGTERM and SIGINT into a drain: no new connections, answers in flight are finished, then the loop ends.

    ``before`` is called first, outside of the signal handler.
    """

    def __init__(self, server: Any, draining: threading.Event, before: Callable[[], object] = lambda: None) -> None:
        self._server = server
        self._before = before
        self._draining = draining
        self._ended = threading.Event()
        self.drained = False

    def __enter__(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self._ended.is_set():
            raise KeyboardInterrupt  # what ends waitress's loop
        if self._draining.is_set():
            return
        self._draining.set()
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        try:
            self._before()
            self._finish_answers()
        finally:
            self._ended.set()
            os.kill(os.getpid(), signal.SIGINT)

    def _finish_answers(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        for listener in listeners(self._server):
            listener.accepting = False
        while time.monotonic() < deadline:
            busy = False
            for channel in channels(self._server):
                with channel.requests_lock:  # nothing is being received and answered meanwhile
                    if channel.requests:
                        busy = True  # its answer may not have begun: closing when flushed would cut it
                    elif channel.total_outbufs_len:
                        busy = True
                        channel.close_when_flushed = True
                    else:
                        channel.will_close = True
            for listener in listeners(self._server):
                listener.pull_trigger()
            if not busy:
                self.drained = True
                return
            time.sleep(0.02)
