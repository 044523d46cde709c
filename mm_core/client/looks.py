"""What the last look at each symbol of a model found, and when what it left open is to be tried again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .errors import PayloadError, PayloadNotFound
from .synced import Synced

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 10.0
_MOST_DOUBLINGS = 10


class _Look(NamedTuple):
    """``due`` is when what is open is to be tried again, by the monotonic clock; never where nothing is."""

    revision: int
    has_failed: bool
    is_stale: bool
    tries: int
    due: float


_NONE_YET = _Look(0, False, False, 0, math.inf)


class Looks:
    """The last looks at the symbols of one model, for callers of which each has symbols of its own.

    ``names`` are casefolded symbols, None for all of the model. Open is what another try may mend: symbols that failed,
    unless the server has none of them, and copies that stand in while it is away. It is tried again after two seconds,
    then after twice as many each time, up to ten, with jitter; ``Retry-After`` counts where it is more.
    """

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}
        self._all: frozenset[str] | None = None
        self._all_revision = 0

    def have_seen(self, names: Iterable[str] | None) -> bool:
        """Return whether there was a look at each of these."""
        return self._all is not None if names is None else all(name in self._looks for name in names)

    def revision(self, names: Iterable[str] | None) -> int:
        """Return the revision up to which all of these were looked at."""
        if names is None:
            return self._all_revision
        return min((look.revision for look in self._of(names)), default=0)

    def are_stale(self, names: Iterable[str] | None) -> bool:
        """Return whether the server was away when any of these was looked at."""
        return any(look.is_stale for look in self._of(names))

    def failed(self) -> Mapping[str, bool]:
        """Return of each symbol that was looked at whether it failed; another thread may look meanwhile."""
        return {name: look.has_failed for name, look in dict(self._looks).items()}

    def due_in(self, names: Iterable[str] | None) -> float:
        """Return in how many seconds something of these is to be tried again; infinity where nothing is open."""
        return min((look.due for look in self._of(names)), default=math.inf) - time.monotonic()

    def note(self, synced: Synced, *, of_all: bool) -> None:
        """Remember what a look found."""
        jitter = _jitter()
        symbols = {symbol.casefold(): symbol for symbol in (*synced.changed, *synced.unchanged, *synced.failed)}
        for name, symbol in symbols.items():
            before, failure = self._looks.get(name, _NONE_YET), synced.failed.get(symbol)
            reason = synced.away or (failure if not isinstance(failure, PayloadNotFound) else None)
            revision = before.revision if synced.stale else synced.revision
            tries = before.tries + 1 if reason is not None else 0
            due = _due(reason, tries, jitter) if reason is not None else math.inf
            self._looks[name] = _Look(revision, failure is not None, synced.stale, tries, due)
        if of_all:
            self._all = frozenset(symbols)
            self._all_revision = self._all_revision if synced.stale else synced.revision

    def note_error(self, names: Iterable[str] | None, error: PayloadError) -> None:
        """Remember that a look ended in an error: all that was to be looked at is open."""
        jitter = _jitter()
        for name in self._all or () if names is None else names:
            if (look := self._looks.get(name)) is not None:
                due = _due(error, look.tries + 1, jitter)
                self._looks[name] = look._replace(is_stale=True, tries=look.tries + 1, due=due)

    def forget(self) -> None:
        """Forget all looks, as the model is gone."""
        self._looks, self._all, self._all_revision = {}, None, 0

    def _of(self, names: Iterable[str] | None) -> list[_Look]:
        return [self._looks.get(name, _NONE_YET) for name in (self._all or () if names is None else names)]


def _jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - keeps bots from asking in step; guards nothing


def _due(reason: PayloadError, tries: int, jitter: float) -> float:
    """Return when to try again; one jitter serves all symbols of a look, as the least of many would be none."""
    pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, _MOST_DOUBLINGS), _LONGEST_PAUSE_SECONDS)
    return time.monotonic() + max(pause * jitter, reason.retry_in or 0.0)
