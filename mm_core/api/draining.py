"""An end that loses no request: signals become a drain."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from mm_core.api.listening import listeners
from mm_core.api.refusals import Refusal

DRAIN_SECONDS = 7.0
"""Longest wait for answers in flight: all processes have ended before a supervisor kills after ten seconds."""

LAST_SECONDS = 1.0
"""Of those: requests that have not arrived whole by then are told so."""

GRACE_SECONDS = 1.0
"""For clients to ask once more on a connection that is open, and to be told that it ends."""

TAKING_SECONDS = 0.05
"""For connections that were being made when the first signal came."""

PAUSE_SECONDS = 0.02


class StopSignals:
    """Turns SIGTERM and SIGINT into a drain: who has connected is answered, nobody else may connect, the loop ends.

    ``before`` is called first, outside of the signal handler, with the moment of the monotonic clock at which answers
    in flight are given up.
    """

    def __init__(
        self, server: Any, draining: threading.Event, before: Callable[[float], object] = lambda deadline: None
    ) -> None:
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
            raise KeyboardInterrupt  # what ends the loop
        if self._draining.is_set():
            return
        self._draining.set()
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        try:
            self._before(deadline)
            self._finish_answers(deadline)
        finally:
            self._ended.set()
            os.kill(os.getpid(), signal.SIGINT)

    def _finish_answers(self, deadline: float) -> None:
        listening = listeners(self._server)
        drain = _Drain(listening, deadline)
        listening[0].loop.each_second.append(drain)
        while True:
            listening[0].pull_trigger()
            if drain.is_done.wait(PAUSE_SECONDS):
                self.drained = True
                return
            if time.monotonic() > deadline:
                return


class _Drain:
    """What the loop does with its connections at each look, from the first signal on."""

    def __init__(self, listening: list[Any], deadline: float) -> None:
        self.is_done = threading.Event()
        self._listening = listening
        self._deadline = deadline
        self._began: float | None = None
        self._is_listening = True

    def __call__(self) -> None:
        """Take in who has connected, answer, and end what is idle; ``is_done`` is set when nobody is left."""
        moment = time.monotonic()
        if self._began is None:
            self._began = moment
            for listener in self._listening:
                listener.begin_to_end()
        elif self._is_listening and moment - self._began > TAKING_SECONDS:
            self._is_listening = False
            for listener in self._listening:
                listener.intake.end()
        is_late, is_last = moment - self._began > GRACE_SECONDS, moment > self._deadline - LAST_SECONDS
        for listener in self._listening:
            for channel in list(listener.active_channels.values()):
                if is_last:
                    channel.give_up(Refusal(503))
                if is_late and channel.is_idle():
                    channel.handle_close()
        if not self._is_listening and not any(listener.active_channels for listener in self._listening):
            self.is_done.set()
