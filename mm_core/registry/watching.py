"""Registered roots are looked at again when their files change."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain

import watchfiles

from mm_core.errors import DuplicateSymbols, InvalidRoot, ModelManagerError, ModelNotFound
from mm_core.logs import get_logger
from mm_core.registry.background import BackgroundThread, Trouble
from mm_core.registry.registration import Registrations
from mm_core.store import RegistryStore

EVENT_PAUSE_MS = 100
LONGEST_DEBOUNCES = 15
"""A root that never becomes quiet is read after this many debounces all the same."""

SAFETY_POLL_INTERVALS = 12
"""Where events work, every root is still listed once in this many poll intervals: some file systems lose events."""

RESTS = 4
"""What fails unexpectedly rests for so many times as long as it took: a defect that lasts takes no whole processor."""

MOST_PATHS = 2000
"""Of changed paths that are looked at one by one; beyond that the root is listed."""

Directories = dict[str, tuple[int, int]]
"""Device and inode of each directory, by the path of a root."""

Changes = set[tuple[watchfiles.Change, str]]

log = get_logger("mm_core.watch")


@dataclass(frozen=True, slots=True)
class WatcherState:
    """What the watcher does: ``mode`` is ``events``, ``polling``, ``starting`` or ``off``.

    It starts again after something kept it from its work; that, and what keeps a model from being refreshed, is the
    ``last_error`` until it is over.
    """

    mode: str
    models: int
    pending: int
    refreshes: int
    last_error: str | None


class Watcher(BackgroundThread):
    """A thread that refreshes models whose roots changed and have been quiet for ``debounce`` seconds."""

    def __init__(
        self,
        store: RegistryStore,
        registrations: Registrations,
        *,
        interval: float,
        debounce: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("watcher", "watching_waits")
        self._store = store
        self._registrations = registrations
        self._interval = interval
        self._debounce = debounce
        self._clock = clock
        self._mode = "off"
        self._refreshes = 0
        self._troubles: dict[tuple[str, str], Trouble] = {}
        self._first_change: dict[str, float] = {}
        self._last_change: dict[str, float] = {}
        self._paths: dict[str, set[str] | None] = {}
        self._restless: dict[str, dict[str, float]] = {}
        self._last_poll = 0.0
        self._last_look = 0.0

    def start(self) -> None:
        """Begin to watch; the first thing it does is to list every root once."""
        self._mode = "starting"
        super().start()

    def state(self) -> WatcherState:
        """Return what the watcher is doing."""
        models = len(self._store.view().models())
        thread = self.thread_state()
        mode = "off" if not thread.is_running else "starting" if thread.problem is not None else self._mode
        problems = (thread.problem, *(trouble.sentence for trouble in list(self._troubles.values())))
        last_error = next((problem for problem in problems if problem is not None), None)
        return WatcherState(mode, models, len(self._first_change), self._refreshes, last_error)

    def _turn(self) -> None:
        """Follow the roots until they are others."""
        roots = self._roots()
        self._troubles = {key: trouble for key, trouble in self._troubles.items() if key[1] in roots}
        existing = _directories(roots.values())
        if not existing or not self._follow_events(existing, roots):
            self._follow_polls(roots, until_a_root_exists=not existing)

    def _follow_events(self, existing: Directories, roots: dict[str, str]) -> bool:
        """Refresh what events tell until the roots are others; return False where there are no events.

        A watch is on a directory and not on its path, so another one that takes the path is watched anew.
        """
        self._mode = "events"
        self._last_poll = float("-inf")  # what changed before the events began is found by listing once
        pause = max(1, min(int(self._debounce * 250), 500))
        places = {name: os.path.realpath(root) for name, root in roots.items() if root in existing}
        watched = sorted(set(places.values()))
        events = watchfiles.watch(
            *watched,
            watch_filter=None,
            debounce=EVENT_PAUSE_MS,
            step=EVENT_PAUSE_MS // 2,
            rust_timeout=pause,
            yield_on_timeout=True,
            stop_event=self._stop,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        with closing(events):
            while True:
                try:
                    changes = next(events, None)
                except (OSError, RuntimeError) as error:
                    log.warning("watch_polling", reason=str(error), interval=self._interval)
                    return False
                if changes is None:
                    return True
                now = self._clock()
                for name, paths in _touched(changes, places).items():
                    self._note_change(name, now, paths)
                if now - self._last_poll >= self._interval * SAFETY_POLL_INTERVALS:
                    self._poll(roots)
                elif now - self._last_look >= self._interval:
                    self._last_look = now
                    self._poll_each(name for name in roots if name not in places)
                self._refresh_quiet()
                if self._roots() != roots or _directories(roots.values()) != existing or _was_removed(changes, watched):
                    return True
                self._trouble.end()

    def _follow_polls(self, roots: dict[str, str], *, until_a_root_exists: bool) -> None:
        self._mode = "polling"
        while not self._stop.wait(min(self._interval, max(self._debounce / 2, 0.05))):
            if self._clock() - self._last_poll >= self._interval:
                self._poll(roots)
            self._refresh_quiet()
            if self._roots() != roots or (until_a_root_exists and _directories(roots.values())):
                return
            self._trouble.end()

    def _roots(self) -> dict[str, str]:
        return {model.name: model.root_path for model in self._store.view().models()}

    def _poll(self, roots: dict[str, str]) -> None:
        self._last_poll = self._last_look = self._clock()
        self._poll_each(roots)

    def _poll_each(self, names: Iterable[str]) -> None:
        for name in names:
            if self._stop.is_set():
                return
            self._trouble_of("watch_poll_failed", name).attempt(partial(self._poll_one, name), model=name)

    def _poll_one(self, name: str) -> None:
        try:
            if self._registrations.has_changed(name):
                self._note_change(name, self._clock(), None)
        except InvalidRoot:
            self._note_change(name, self._clock(), None)  # the refresh records why
        except ModelNotFound:
            return

    def _trouble_of(self, event: str, name: str) -> Trouble:
        """Return the trouble with one model, which keeps no other one from being looked at."""
        return self._troubles.setdefault((event, name), Trouble(event))

    def _note_change(self, name: str, now: float, paths: set[str] | None) -> None:
        """Note that something changed: ``paths``, or None where only a listing tells."""
        self._first_change.setdefault(name, now)
        self._last_change[name] = now
        known = self._paths.get(name, set())
        together = known | paths if known is not None and paths is not None else None
        self._paths[name] = together if together is not None and len(together) <= MOST_PATHS else None

    def _refresh_quiet(self) -> None:
        now = self._clock()
        for name in list(self._first_change):
            quiet = now - self._last_change[name] >= self._debounce
            overdue = now - self._first_change[name] >= self._debounce * LONGEST_DEBOUNCES
            if (quiet or overdue) and not self._stop.is_set():
                del self._first_change[name], self._last_change[name]
                self._refresh(name, self._paths.pop(name))

    def _refresh(self, name: str, paths: set[str] | None) -> None:
        """Put what changed of a model into service; what kept it from that is tried again, unless files must change."""
        started = self._clock()
        refresh = partial(self._refresh_resting, name, paths)
        error = self._trouble_of("watch_refresh_failed", name).attempt(refresh, model=name)
        if error is not None and not isinstance(error, InvalidRoot | DuplicateSymbols):
            now = self._clock()
            rest = 0.0 if isinstance(error, ModelManagerError | OSError) else RESTS * (now - started)
            self._note_change(name, now + rest, paths)  # it is still to come into service, and is not told again

    def _refresh_resting(self, name: str, paths: set[str] | None) -> None:
        """Read the groups of a model that rest; others are looked at again, and at last read all the same."""
        started = self._clock()
        since = self._restless.pop(name, {})
        longest = self._debounce * LONGEST_DEBOUNCES
        impatient_of = {key for key, first in since.items() if started - first >= longest}
        try:
            changed = self._registrations.refresh_changed(
                name, paths, quiet_seconds=self._debounce, impatient_of=impatient_of
            )
        except ModelNotFound:
            return
        if changed.waiting:
            self._restless[name] = {key: since.get(key, started) for key in changed.waiting}
            self._note_change(name, self._clock(), set(chain.from_iterable(changed.waiting.values())))
        if changed.registered is not None:
            self._refreshes += 1
            log.info("watch_refreshed", model=name, ms=round((self._clock() - started) * 1000, 1))


def _directories(roots: Iterable[str]) -> Directories:
    """Return device and inode of each root that is a directory, or a link to one."""
    found = {}
    for root in set(roots):
        try:
            status = os.stat(root)
        except OSError:
            continue  # the refresh says why
        if stat.S_ISDIR(status.st_mode):
            found[root] = (status.st_dev, status.st_ino)
    return found


def _touched(changes: Changes, places: dict[str, str]) -> dict[str, set[str]]:
    """Return the changed paths of each model that has some; the root itself counts as one."""
    paths = [path for _, path in changes]
    found = {
        name: {path for path in paths if path == root or path.startswith(root + "/")} for name, root in places.items()
    }
    return {name: touched for name, touched in found.items() if touched}


def _was_removed(changes: Changes, watched: Collection[str]) -> bool:
    """Return whether a watched directory went: one that has its path by now may have its inode, too."""
    return any(change is watchfiles.Change.deleted and path in watched for change, path in changes)
