"""Which payloads changed since a revision, for those who wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

LOOK_SECONDS = 0.25
"""A waiter looks this often whether it should give up."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The symbols of a model that changed up to ``revision``; None where everything may have changed."""

    revision: int
    symbols: tuple[str, ...] | None


@dataclass(slots=True)
class _Memory:
    """At which revision each symbol of a model changed last; of what came before ``begins`` nothing is known."""

    begins: int
    changed: dict[str, int] = field(default_factory=dict)


class ChangeLog:
    """Remembers at which revision each symbol changed last, since this process began to publish.

    A model that is deleted is forgotten. Of one that is registered again under its name, whoever asks from before that
    is told that everything may have changed.
    """

    def __init__(self) -> None:
        self._grown = threading.Condition()
        self._forgotten: int | None = None
        self._newest = 0
        self._memories: dict[str, _Memory] = {}

    def note(self, revision: int, models: Collection[str], changed: Mapping[str, set[str]]) -> None:
        """Note which models there are at ``revision``, and which symbols differ from what was noted before, by model.

        The first note says where the memory begins. Symbols of a model that there is no more are told to those who
        wait just now.
        """
        with self._grown:
            begins = revision if self._forgotten is None else self._forgotten
            for model_name in {*models, *changed}:
                self._memories.setdefault(model_name, _Memory(begins))
            for model_name, symbols in changed.items() if self._forgotten is not None else ():
                self._memories[model_name].changed.update(dict.fromkeys(symbols, revision))
            gone = self._memories.keys() - set(models)
            for model_name in gone:
                del self._memories[model_name]
            self._forgotten = revision if gone else begins
            self._newest = revision
            self._grown.notify_all()

    def since(
        self, model_name: str, revision: int, wait_seconds: float = 0.0, give_up: Callable[[], bool] = lambda: False
    ) -> Changes:
        """Return what changed after ``revision``; wait for a change up to ``wait_seconds``, or until ``give_up``."""
        deadline = time.monotonic() + wait_seconds
        with self._grown:
            memory = self._memories.get(model_name)
            while True:
                found = self._found(memory, revision)
                left = deadline - time.monotonic()
                if found.symbols is None or found.symbols or left <= 0 or give_up():
                    return found
                self._grown.wait(min(left, LOOK_SECONDS))
                memory = self._memories.get(model_name, memory)  # that of a deleted model tells what went with it

    def _found(self, memory: _Memory | None, revision: int) -> Changes:
        begins = memory.begins if memory is not None else self._forgotten
        if begins is None or not begins <= revision <= self._newest:
            return Changes(self._newest, None)
        changed = memory.changed if memory is not None else {}
        return Changes(self._newest, tuple(sorted(symbol for symbol, at in changed.items() if at > revision)))
