"""What is wrong with what somebody sent, told in a bounded number of sentences of bounded length."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from itertools import islice

from mm_core.spelling import visible

MOST_PROBLEMS = 1_000
"""Problems that one refusal tells one by one: a body of some megabytes may have a million."""

MOST_SHOWN = 80
"""Characters of a value that does not belong where it is."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = MOST_SHOWN


class Problems:
    """Sentences about what is wrong: the first `MOST_PROBLEMS` are kept, the others counted."""

    def __init__(self, sentences: Iterable[str] = ()) -> None:
        self._kept: list[str] = []
        self._more = 0
        self.add(sentences)

    def __len__(self) -> int:
        return len(self._kept) + self._more

    def add(self, sentences: Iterable[str]) -> None:
        """Take up more sentences, in their order."""
        rest = iter(sentences)
        self._kept += islice(rest, MOST_PROBLEMS - len(self._kept))
        self._more += sum(1 for _ in rest)

    def told(self) -> tuple[str, ...]:
        """Return the sentences that were kept, hidden characters shown, and how many more there are."""
        more = (f"{self._more:,} more problems",) if self._more else ()
        return (*map(visible, self._kept), *more)


def in_short(value: object) -> str:
    """Return how Python writes a value, shortened in the middle; a large or deep one is not walked through."""
    return _SHORT.repr(value)[: 2 * MOST_SHOWN]
