"""Threads that work beside the requests until the process ends, whatever goes wrong in between."""

from __future__ import annotations

import os
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mm_core.errors import ModelManagerError
from mm_core.logs import get_logger
from mm_core.spelling import visible

IDLE_PRIORITY = 10
"""Niceness of the threads that clean and make payloads: requests come first."""

RETRY_SECONDS = 1.0
"""Between something that went wrong and the next try."""

log = get_logger("mm_core.background")


@dataclass(frozen=True, slots=True)
class ThreadState:
    """How a background thread is: ``problem`` is what keeps it from its work just now, None where nothing does."""

    is_running: bool
    problem: str | None


class Trouble:
    """What keeps a piece of work from being done: logged when it begins, kept until the work is done again."""

    def __init__(self, event: str) -> None:
        self._event = event
        self.sentence: str | None = None

    def attempt(self, work: Callable[[], object], **about: object) -> Exception | None:
        """Do ``work``; return what kept it from being done, None where it was done.

        Here errors of background work end, all of them: a thread that nobody waits for would end in silence with the
        first that its author did not think of, and bots would be given yesterday's models from then on. What is
        expected (`ModelManagerError`, ``OSError``) is logged as a sentence, anything else with its traceback, both once
        until the work is done or something else goes wrong; ``about`` stands in the same line.
        """
        try:
            work()
        except Exception as error:  # noqa: BLE001 - see above
            self._note(error, about)
            return error
        self.end()
        return None

    def end(self) -> None:
        """Note that the work is done again."""
        self.sentence = None

    def _note(self, error: Exception, about: dict[str, object]) -> None:
        is_expected = isinstance(error, ModelManagerError | OSError)
        said = visible(str(error))
        sentence = said if is_expected else f"Unexpected {type(error).__name__}: {said}. The log has its traceback."
        if sentence != self.sentence and is_expected:
            log.warning(self._event, reason=sentence, **about)
        elif sentence != self.sentence:
            log.error(self._event, reason=sentence, exc_info=error, **about)
        self.sentence = sentence


class BackgroundThread(ABC):
    """A daemon thread that takes turns at its work from `start` to `stop`, once; no error ends it."""

    def __init__(self, name: str, event: str) -> None:
        self.name = name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble = Trouble(event)

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is under way is finished first."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def was_started(self) -> bool:
        """Whether this process is to do the work."""
        return self._thread is not None

    def thread_state(self) -> ThreadState:
        """Return how the thread is."""
        is_running = self._thread is not None and self._thread.is_alive()
        if self._thread is not None and not is_running and not self._stop.is_set():
            return ThreadState(False, f"The thread '{self.name}' ended unexpectedly. Restart the server.")
        return ThreadState(is_running, self._trouble.sentence)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._trouble.attempt(self._turn) is not None:
                    self._stop.wait(RETRY_SECONDS)
        finally:
            self._end()

    @abstractmethod
    def _turn(self) -> None:
        """Work for a while, at most until ``_stop`` is set; one that lasts ends ``_trouble`` when all is well."""

    def _end(self) -> None:  # noqa: B027 - most leave nothing behind
        """Give back what was kept between turns."""


class AsideThread:
    """A daemon thread for work that nobody waits for: it starts with the first, and what finds no room is not done."""

    def __init__(self, name: str, room: int) -> None:
        self._name = name
        self._tasks: queue.Queue[Callable[[], object] | None] = queue.Queue(room)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def offer(self, task: Callable[[], object]) -> bool:
        """Let the thread do ``task`` some time; return whether it will."""
        with self._lock:
            if self._stopped or self._tasks.full():
                return False
            self._tasks.put(task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        return True

    def stop(self) -> None:
        """Do nothing that waits any more; what is under way is not waited for."""
        with self._lock:
            self._stopped = True
            with suppress(queue.Empty):
                while True:
                    self._tasks.get_nowait()
            self._tasks.put(None)

    def _run(self) -> None:
        trouble = Trouble("work_aside_failed")
        while (task := self._tasks.get()) is not None:
            trouble.attempt(task, thread=self._name)


def come_last() -> None:
    """Give way, in this thread, to all others where the system lets it: see `IDLE_PRIORITY`."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), IDLE_PRIORITY)
