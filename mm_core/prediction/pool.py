"""The child processes of a predictor: who may ask which one, how long callers wait, and who rests after a crash."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from mm_core.child_processes import Child, ChildLimits, ChildLost
from mm_core.errors import PredictionFailed, PredictorBusy

CHILD_MODULE = "mm_core.prediction.child"

FIRST_REST = 1.0
LONGEST_REST = 60.0
"""Seconds; a rest doubles with each crash in a row. The first crash has none: anybody may kill a process once."""

MOST_RESTING = 256

_START = ""
"""In the place of a model's digest: what rests is the start of children."""


@dataclass(frozen=True, slots=True)
class PredictionLimits:
    """What predictions may take.

    ``seconds`` of one question, loading the model included, and of waiting for one's turn; ``memory_bytes`` of address
    space of a child; ``model_bytes`` of a model's file; ``rows`` and ``cells`` (rows times features) of one question;
    ``models_kept`` in the memory of a child; ``waiting`` callers beside those that are being answered; ``processes``
    that predict at once; ``idle_seconds`` after which a child ends; ``niceness`` of a child beside that of its parent.
    """

    seconds: float = 30.0
    memory_bytes: int = 4 << 30
    model_bytes: int = 512 << 20
    rows: int = 10_000
    cells: int = 1_000_000
    models_kept: int = 8
    waiting: int = 16
    processes: int = 1
    idle_seconds: float = 300.0
    niceness: int = 5

    def __post_init__(self) -> None:
        least = min(
            *(self.seconds, self.memory_bytes, self.model_bytes, self.rows, self.cells),
            *(self.models_kept, self.processes, self.idle_seconds),
        )
        if least <= 0 or self.waiting < 0 or self.niceness < 0:
            raise ValueError("Limits of predictions are positive; waiting and niceness may be 0.")


@dataclass(slots=True)
class _Place:
    """Where one child is, or will be; ``asked`` are the models that it holds, most likely."""

    child: Child | None = None
    asked: OrderedDict[str, None] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class _Rest:
    """``losses`` in a row of the process that predicts; ``rows`` of the smallest question among them."""

    losses: int
    until: float
    rows: int = 0


class ChildPool:
    """Children that answer questions about models, safely for any number of callers."""

    def __init__(self, limits: PredictionLimits) -> None:
        self._limits = limits
        self._turns = threading.Condition()
        self._free = [_Place() for _ in range(limits.processes)]
        self._places = tuple(self._free)
        self._waiting = 0
        self._closed = False
        self._crashed: OrderedDict[str, _Rest] = OrderedDict()
        self._slow: OrderedDict[str, _Rest] = OrderedDict()
        self.starts = 0
        """Children started so far."""

    def ask(self, model: str, document: bytes, block: bytes | memoryview, rows: int = 0) -> tuple[bytes, bytearray]:
        """Return a child's answer to a question of ``rows`` about ``model``, a digest.

        Raises `PredictorBusy` where too many wait, or wait too long, where the model rests after it ended children, and
        where questions as large as this one were too slow; `PredictionFailed` where the child ends without an answer,
        or takes too long and is ended.
        """
        self._check_rest(model)
        self._check_slowness(model, rows)
        place = self._take(model)
        try:
            answer = self._ask_at(place, document, block)
        except ChildLost as lost:
            if lost.late:
                self._note_loss(self._slow, model, rows)
            else:
                self._note_loss(self._crashed, model)
            raise self._failed(lost) from None
        finally:
            self._give_back(place, model)
        with self._turns:
            self._crashed.pop(model, None)
            slow = self._slow.get(model)
            if slow is not None and rows >= slow.rows:
                del self._slow[model]
        return answer

    def close(self) -> None:
        """End all children and wait until they are gone; who waits for an answer gets an error."""
        with self._turns:
            self._closed = True
            self._turns.notify_all()
        for place in self._places:
            child = place.child
            if child is not None:
                child.close()

    def pids(self) -> tuple[int, ...]:
        """The numbers of the processes that run."""
        children = [place.child for place in self._places]
        return tuple(child.pid for child in children if child is not None and child.is_alive)

    def _ask_at(self, place: _Place, document: bytes, block: bytes | memoryview) -> tuple[bytes, bytearray]:
        for attempt in (1, 2):
            child = self._child_of(place)
            try:
                return child.ask(document, block, self._limits.seconds)
            except ChildLost as lost:
                place.child = None
                if not lost.idle or attempt == 2:
                    raise
        raise AssertionError("the second attempt returns or raises")

    def _child_of(self, place: _Place) -> Child:
        if place.child is not None and not place.child.is_alive:
            place.child.close()
            place.child = None
        if place.child is None:
            self._check_rest(_START)
            limits = self._limits
            place.asked.clear()
            try:
                child = Child(CHILD_MODULE, ChildLimits(limits.memory_bytes, limits.niceness, limits.idle_seconds))
            except ChildLost as lost:
                self._note_loss(self._crashed, _START)
                raise PredictionFailed(
                    f"The process that predicts does not start: {lost}. Look at the machine."
                ) from None
            with self._turns:
                self._crashed.pop(_START, None)
                self.starts += 1
                place.child = child
                closed = self._closed
            if closed:
                child.close()
        return place.child

    def _take(self, model: str) -> _Place:
        deadline = time.monotonic() + self._limits.seconds
        with self._turns:
            if not self._free and self._waiting >= self._limits.waiting:
                raise PredictorBusy(f"{self._waiting} predictions wait already. Ask again in a second.")
            self._waiting += 1
            try:
                while not self._free and not self._closed:
                    if not self._turns.wait(deadline - time.monotonic()):
                        raise PredictorBusy(
                            f"Other predictions took longer than {self._limits.seconds:g} s. Ask again in a minute."
                        )
            finally:
                self._waiting -= 1
            if self._closed:
                raise PredictorBusy("The predictor is closed, as its process is about to end. Ask again.")
            place = next((place for place in self._free if model in place.asked), self._free[0])
            self._free.remove(place)
            return place

    def _give_back(self, place: _Place, model: str) -> None:
        with self._turns:
            place.asked[model] = None
            place.asked.move_to_end(model)
            while len(place.asked) > self._limits.models_kept:
                place.asked.popitem(last=False)
            self._free.append(place)
            self._turns.notify()

    def _check_rest(self, model: str) -> None:
        with self._turns:
            rest = self._crashed.get(model)
        seconds = 0.0 if rest is None else rest.until - time.monotonic()
        if rest is None or seconds <= 0:
            return
        if model == _START:
            raise PredictorBusy(
                f"The process that predicts did not start {rest.losses} times in a row. Ask again in {seconds:.0f} s."
            )
        raise PredictorBusy(
            f"The model ended the process that predicts {rest.losses} times in a row and rests. Ask again in "
            f"{seconds:.0f} s, or with fewer rows; if it goes on, train the model again."
        )

    def _check_slowness(self, model: str, rows: int) -> None:
        """Raise `PredictorBusy` for a question that is no smaller than one that was too slow just now."""
        with self._turns:
            rest = self._slow.get(model)
        seconds = 0.0 if rest is None else rest.until - time.monotonic()
        if rest is None or seconds <= 0 or rows < rest.rows:
            return
        what = f"{rest.rows:,} row{'s' if rest.rows != 1 else ''}" if rest.rows else "Loading the model"
        raise PredictorBusy(
            f"{what} took longer than {self._limits.seconds:g} s {rest.losses} times in a row. Ask with fewer rows, or "
            f"again in {seconds:.0f} s; if that is too few, train a smaller model."
        )

    def _note_loss(self, rests: OrderedDict[str, _Rest], model: str, rows: int = 0) -> None:
        with self._turns:
            before = rests.pop(model, None)
            losses = 1 if before is None else before.losses + 1
            rest = min(FIRST_REST * 2 ** (losses - 2), LONGEST_REST) if losses > 1 else 0.0
            smallest = rows if before is None else min(rows, before.rows)
            rests[model] = _Rest(losses, time.monotonic() + rest, smallest)
            while len(rests) > MOST_RESTING:
                rests.popitem(last=False)

    def _failed(self, lost: ChildLost) -> PredictionFailed:
        if lost.late:
            return PredictionFailed(
                f"The prediction took longer than {self._limits.seconds:g} s and was ended. Ask with fewer rows."
            )
        if self._closed:
            return PredictionFailed("The prediction was ended, as its server is about to end. Ask again.")
        return PredictionFailed(
            f"The prediction has no answer: {lost}. Ask again; if it goes on, the model does not fit its library."
        )
