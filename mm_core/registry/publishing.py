"""Payloads are made when content changes, not when a bot asks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from mm_core.domain.configs import FactorConfigStamp
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel
from mm_core.errors import AskAgain, PayloadUnavailable
from mm_core.logs import get_logger
from mm_core.registry.background import BackgroundThread, come_last
from mm_core.registry.changes import ChangeLog
from mm_core.registry.payloads import Payloads
from mm_core.registry.published import PublishedPayloads
from mm_core.registry.version_payloads import VersionPayloads
from mm_core.store import FileLock, NoteDirectory, RegistryStore, StoreView

PAUSE_SECONDS = 0.05
"""Between two looks at the store; until the first of them, bots are answered by way of the store itself."""

LOCK_PAUSE_SECONDS = 1.0
VERSIONS_PAUSE_SECONDS = 1.0

Place = tuple[str, str]
"""Model name and group key."""

Stamp = tuple[int, ...]

Mark = tuple[Group, FactorConfigStamp | None, str]
"""What a payload is made of: the group, the stamp of its config and the root that its model's file is in."""

log = get_logger("mm_core.publish")


class Publisher(BackgroundThread):
    """A thread that keeps every payload of the newest revision ready.

    Of several processes one publishes. The others note what changes, so that each can tell, and one takes over when
    the one that publishes ends, however it ends.
    """

    def __init__(
        self,
        store: RegistryStore,
        payloads: Payloads,
        version_payloads: VersionPayloads,
        published: PublishedPayloads,
        notes: NoteDirectory,
        changes: ChangeLog,
    ) -> None:
        super().__init__("publisher", "publishing_waits")
        self._changes = changes
        self._store = store
        self._payloads = payloads
        self._version_payloads = version_payloads
        self._versions_of: Stamp | None = None
        self._next_versions = float("-inf")
        self._published = published
        self._notes = notes
        self._aligned: Stamp | None = None
        self._looked_at: StoreView | None = None
        self._marks: dict[str, dict[str, Mark]] = {}
        self._waiting: dict[Place, Group] = {}
        self._publishes = False
        self._next_try = float("-inf")
        self._lock: FileLock | None = None

    @property
    def waiting(self) -> int:
        """How many payloads are still to be made or looked at."""
        return len(self._waiting)

    def publish_all(self) -> None:
        """Make whatever is missing now, in this thread; raise what kept one of them from being made, at the end."""
        failed: dict[Place, BaseException] = {}
        with ThreadPoolExecutor(os.cpu_count() or 1, "publish", come_last) as makers:
            self._align(publishes=True)
            while (places := [place for place in self._waiting if place not in failed]) and not self._stop.is_set():
                failed |= self._make(makers, places[: 2 * (os.cpu_count() or 1)])
                self._align(publishes=True)
        for error in failed.values():
            raise error

    def _turn(self) -> None:
        """Look once; whatever goes wrong, bots are answered by way of the store meanwhile."""
        self._lock = self._lock or self._lock_now_and_then()
        if self._lock is None:
            self._align(publishes=False)
        elif self._waiting or not self._publishes or self._aligned != self._store.stamp():
            self.publish_all()
        else:
            self._prepare_versions()
        self._stop.wait(PAUSE_SECONDS)

    def _prepare_versions(self) -> None:
        """Make the payloads of versions that run, once for each commit and at most once a second."""
        stamp, now = self._store.stamp(), time.monotonic()
        if stamp != self._versions_of and now >= self._next_versions:
            self._next_versions = now + VERSIONS_PAUSE_SECONDS
            self._version_payloads.prepare_running()
            self._versions_of = stamp

    def _end(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _lock_now_and_then(self) -> FileLock | None:
        """Return the lock of whoever publishes; None while another process holds it, and between two tries."""
        now = time.monotonic()
        if now < self._next_try:
            return None
        is_first = self._next_try == float("-inf")
        lock = self._notes.take_lock()
        self._next_try = now + LOCK_PAUSE_SECONDS
        if lock is not None:
            log.info("publishing", lock=str(self._notes.lock_path))
        elif is_first:
            log.warning(
                "another_process_publishes",
                lock=str(self._notes.lock_path),
                reason="Another server on this data directory prepares payloads. This one serves them too, and takes "
                "over when the other ends.",
            )
        return lock

    def _align(self, *, publishes: bool) -> None:
        """Note what the newest revision changed; who publishes withdraws that, so that all else is served unasked."""
        takes_over = publishes and not self._publishes
        stamp = self._store.stamp()
        if stamp == self._aligned and not takes_over:
            return
        view = self._store.view()
        if self._store.stamp() != stamp:
            return  # somebody is committing just now: the next look takes the newer one
        marks: dict[str, dict[str, Mark]] = {}
        changed: dict[str, set[str]] = {}
        new: list[Place] = []
        for model in view.models():
            before = self._marks.get(model.name, {})
            marks[model.name], looked_at = self._marks_of(view, model, before)
            for group_key in looked_at:
                was, now = before.get(group_key), marks[model.name].get(group_key)
                if was is None or now is None or not _are_same(was, now):
                    symbols = {mark[0].symbol for mark in (was, now) if mark is not None}
                    changed.setdefault(model.name, set()).update(symbols)
                    if now is not None:
                        new.append((model.name, group_key))
        changed |= _symbols({name: mark for name, mark in self._marks.items() if name not in marks})
        if publishes:
            everything = [(name, group_key) for name, of in marks.items() for group_key in of]
            untrue = _symbols(marks) if takes_over else changed
            self._withdraw(stamp, marks, everything if takes_over else new, untrue, takes_over)
        self._marks, self._looked_at = marks, view
        self._aligned, self._publishes = stamp, publishes
        self._changes.note(view.revision, marks.keys(), changed)

    def _withdraw(
        self,
        stamp: Stamp,
        marks: dict[str, dict[str, Mark]],
        new: list[Place],
        untrue: dict[str, set[str]],
        takes_over: bool,
    ) -> None:
        """Take away what is not true at ``stamp`` any more, and say that all the rest is.

        ``untrue`` are symbols by model, each in every spelling that it had: files keep their names when a symbol
        changes, and a link of a web server has the case of its symbol.
        """
        if self._published.stamp() != stamp:
            for model_name, symbols in untrue.items():
                for symbol in symbols:
                    self._published.withdraw(model_name, symbol)
        for model_name, group_key in new:
            self._waiting[model_name, group_key] = marks[model_name][group_key][0]
        self._waiting = {(name, key): marks[name][key][0] for name, key in self._waiting if key in marks.get(name, ())}
        if takes_over or any(
            marks.get(name, {}).keys() != self._marks.get(name, {}).keys() for name in marks.keys() | self._marks.keys()
        ):
            self._published.keep_only(_symbols(marks))
        self._published.declare(stamp)

    def _marks_of(
        self, view: StoreView, model: RegisteredModel, before: dict[str, Mark]
    ) -> tuple[dict[str, Mark], Iterable[str]]:
        """Return the marks of a model's groups, and the keys of those that may differ from ``before``."""
        scan = view.scan(model.name) or Scan(model.created_at)
        symbols = self._symbols_since(view, model)
        groups = (
            list(scan.groups.values())
            if symbols is None
            else [group for symbol in symbols for group in scan.groups_of(symbol)]
        )
        stamps = view.configs.stamps(model.name) if symbols is None else None
        now = {}
        for group in groups:
            if group.payload_ready:
                symbol = group.symbol.casefold()
                stamp = stamps.get(symbol) if stamps is not None else view.configs.stamp(model.name, symbol)
                now[group.group_key] = (group, stamp, model.root_path)
        return (now, before.keys() | now.keys()) if symbols is None else (before | now, now.keys())

    def _symbols_since(self, view: StoreView, model: RegisteredModel) -> frozenset[str] | None:
        """Return the symbols whose config changed since the last look, where nothing else of a model did; else None."""
        looked_at = self._looked_at
        before = looked_at.model(model.name) if looked_at is not None else None
        if (
            looked_at is None
            or before is None
            or before.scan_id != model.scan_id
            or before.root_path != model.root_path
        ):
            return None
        return view.configs.since(model.name, looked_at.configs)

    def _make(self, makers: ThreadPoolExecutor, places: list[Place]) -> dict[Place, BaseException]:
        """Make some of the payloads that wait; return those that wait on, and why."""
        view = self._store.view()
        made = {place: makers.submit(self._make_one, view, place[0], self._waiting[place]) for place in places}
        errors = {place: error for place, future in made.items() if (error := future.exception()) is not None}
        for place in made.keys() - errors.keys():
            del self._waiting[place]
        return errors

    def _make_one(self, view: StoreView, model_name: str, group: Group) -> None:
        model = view.model(model_name)
        if model is None:
            return
        try:
            self._published.publish(self._payloads.prepared(view, model, group))
        except (AskAgain, PayloadUnavailable) as error:  # bots are told the same
            log.warning("payload_unavailable", model=model_name, group=group.group_key, reason=error.detail)


def _symbols(marks: dict[str, dict[str, Mark]]) -> dict[str, set[str]]:
    """Return the symbols of each model that has marks."""
    return {model_name: {mark[0].symbol for mark in of.values()} for model_name, of in marks.items()}


def _are_same(before: Mark, now: Mark) -> bool:
    if before[1:] != now[1:]:
        return False
    group, other = before[0], now[0]
    return group is other or (group.read_at == other.read_at and group.files == other.files)
