"""Versions and their events as immutable files of each family, so that a change costs the same however many there are.

    registry.json ─ names ─▶ index ─▶ shard: records of some versions
                                  └─▶ newest events ─ previous ─▶ events that are full ─ previous ─▶ …

Index, shards and newest events lie in ``current`` and go some time after newer ones have taken their places. Files of
events that are full lie in ``events`` and stay for ever.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from mm_core.domain.version_records import Family, VersionEvent, VersionRecord
from mm_core.errors import StoreCorrupt
from mm_core.store.chains import EachOnce
from mm_core.store.copies import Copies
from mm_core.store.durable import clear_of
from mm_core.store.family_documents import event_document, event_value, record_document, record_value
from mm_core.store.pending_files import PendingFiles
from mm_core.store.places import file_of_family
from mm_core.store.sharding import shard_count_for, shard_of
from mm_core.store.storage import REMEDY, read_table, table_bytes, table_documents

VERSIONS_PER_SHARD = 64
EVENTS_PER_FILE = 64
REMEMBERED_INDEXES = 4096
REMEMBERED_SHARDS = 2048
REMEMBERED_EVENTS = 256

CURRENT, FULL = "current", "events"

Shard = Mapping[str, VersionRecord]
"""Records by version."""


class FamilyGone(Exception):
    """A file is not on disk: newer commits have removed it, or somebody else has; its text is the path."""


@dataclass(frozen=True, slots=True)
class FamilyIndex:
    """Where a family's versions and events are; ``events`` is the file of the newest ones.

    ``changed_at`` is the latest time of any event; None in files of earlier versions, which do not tell it.
    """

    family: Family
    count: int = 1
    versions: int = 0
    shards: Mapping[int, str] = field(default_factory=dict)
    events: str | None = None
    changed_at: str | None = None

    @property
    def files(self) -> set[str]:
        """The names of what lies in ``current``, without the index itself."""
        return {*self.shards.values(), *([self.events] if self.events is not None else [])}


@dataclass(frozen=True, slots=True)
class EventFile:
    """Some events of a family in a row, oldest first, and the file of those before them."""

    events: tuple[VersionEvent, ...]
    previous: str | None


class FamilyFiles:
    """The versions of all families below one directory.

    Whoever reads gets `FamilyGone` for a file that is not there.
    """

    def __init__(self, path: Path, copies: Copies) -> None:
        self._path = path
        self._copies = copies
        self.pending = PendingFiles(copies)
        self.index = lru_cache(REMEMBERED_INDEXES)(self._read_index)
        self._shard = lru_cache(REMEMBERED_SHARDS)(self._read_shard)
        self._events = lru_cache(REMEMBERED_EVENTS)(self._read_events)

    def record(self, index: FamilyIndex, version: str) -> VersionRecord | None:
        """Return the record of a version, None when there is none."""
        file = index.shards.get(shard_of(version, index.count))
        return self._shard(index.family.name, file).get(version) if file is not None else None

    def records(self, index: FamilyIndex) -> Iterator[VersionRecord]:
        """Yield every record of a family."""
        for file in index.shards.values():
            yield from self._shard(index.family.name, file).values()

    def events(self, index: FamilyIndex) -> tuple[VersionEvent, ...]:
        """Return a family's events, oldest first."""
        parts = []
        place, file = CURRENT, index.events
        for_once = EachOnce(f"The events of '{index.family.name}'")
        while file is not None:
            for_once.take(file)
            part = self._events(index.family.name, place, file)
            parts.append(part.events)
            place, file = FULL, part.previous
        return tuple(event for part in reversed(parts) for event in part)

    def save(
        self,
        before: FamilyIndex | None,
        family: Family,
        records: Mapping[str, VersionRecord],
        events: Sequence[VersionEvent],
    ) -> str:
        """Write ``records`` by version and append ``events``; return the file of the new index."""
        old = before or FamilyIndex(family)
        new = sum(self.record(old, version) is None for version in records)
        count = shard_count_for(old.versions + new, VERSIONS_PER_SHARD, old.count if before is not None else None)
        if count == old.count:
            files = dict(old.shards)
            touched = {shard_of(version, count) for version in records} & files.keys()
            kept: Iterable[VersionRecord] = [
                record for number in touched for record in self._shard(family.name, files[number]).values()
            ]
        else:
            files, kept = {}, self.records(old)
        by_shard: dict[int, dict[str, VersionRecord]] = {}
        for version, record in ({record.model_version: record for record in kept} | dict(records)).items():
            by_shard.setdefault(shard_of(version, count), {})[version] = record
        for number, content in by_shard.items():
            documents = [record_document(record) for record in content.values()]
            files[number] = self._write(family.name, f"shard-{number:04d}", "records", documents)
        newest = self._appended(family.name, old.events, events) if events else old.events
        document = {
            "name": family.name,
            "aliases": family.aliases,
            "count": count,
            "versions": old.versions + new,
            "shards": {str(number): file for number, file in files.items()},
            "events": newest,
            "changed_at": self._latest(before, events),
        }
        return self._write(family.name, "index", "family", [document])

    def walk(self, name: str, index_file: str, read: Callable[[Path], bytes | None]) -> None:
        """Call ``read`` for every file of a family.

        What it returns says which files come next; where it returns None, those behind are left out. Raises
        `StoreCorrupt` where events lead back.
        """
        path = self._current(name, index_file)
        data = read(path)
        if data is None:
            return
        index = _index_value(name, table_documents(data, path, "family"), path)
        for file in index.shards.values():
            read(self._current(name, file))
        place, newest = CURRENT, index.events
        for_once = EachOnce(f"The events of '{name}'")
        while newest is not None:
            for_once.take(newest)
            path = self._file(name, place, newest)
            data = read(path)
            if data is None:
                return
            place, newest = FULL, _only(table_documents(data, path, "events"), path)["previous"]

    def discard(self, name: str, index_file: str, before: str | None) -> None:
        """Delete what is not of a family's index, but for what is in use just now: what ``before`` names."""
        wanted = {index_file, *self.index(name, index_file).files}
        let_go = {before, *self.index(name, before).files} - wanted if before is not None else set()
        directory = self._path / name / CURRENT
        self._copies.remove(directory, clear_of(directory, wanted, let_go))

    def clear_unnamed(self, name: str, named: Set[Path]) -> None:
        """Delete the files and copies of a family that are not ``named``, of writes that never ended."""
        for directory in (self._path / name / CURRENT, self._path / name / FULL):
            wanted = {path.name for path in named if path.parent == directory}
            clear_of(directory, wanted)
            clear_of(self._copies.of(directory), wanted)

    def _latest(self, before: FamilyIndex | None, events: Sequence[VersionEvent]) -> str | None:
        """Return the latest time of all events, None where it cannot be told.

        Clocks are set back, so the newest event need not have it. Stamps are of one form, and order as text.
        """
        known: Iterable[str] = ()
        if before is not None and before.changed_at is not None:
            known = [before.changed_at]
        elif before is not None:
            try:
                known = [event.at for event in self.events(before)]
            except (StoreCorrupt, FamilyGone):  # it stays unknown, and keeps nothing from being stored
                return None
        return max([*known, *(event.at for event in events)], default=None)

    def _appended(self, name: str, newest: str | None, events: Sequence[VersionEvent]) -> str:
        """Write ``events`` behind the newest ones; return the file that holds the newest then."""
        known = self._events(name, CURRENT, newest) if newest is not None else EventFile((), None)
        pending, previous = (*known.events, *events), known.previous
        while len(pending) > EVENTS_PER_FILE:
            full, pending = pending[:EVENTS_PER_FILE], pending[EVENTS_PER_FILE:]
            file = f"{uuid.uuid4().hex}.json"
            self.pending.write(self._path / name / FULL / file, _events_bytes(full, previous))
            previous = file
        file = f"events-{uuid.uuid4().hex[:16]}.json"
        self.pending.write(self._current(name, file), _events_bytes(pending, previous))
        return file

    def _write(self, name: str, kind: str, table: str, documents: list[dict[str, Any]]) -> str:
        file = f"{kind}-{uuid.uuid4().hex[:16]}.json"
        self.pending.write(self._current(name, file), table_bytes(table, documents))
        return file

    def _read_index(self, name: str, file: str) -> FamilyIndex:
        path = self._current(name, file)
        return _index_value(name, self._documents(path, "family"), path)

    def _read_shard(self, name: str, file: str) -> Shard:
        documents = self._documents(self._current(name, file), "records")
        return {document["model_version"]: record_value(document) for document in documents}

    def _read_events(self, name: str, place: str, file: str) -> EventFile:
        path = self._file(name, place, file)
        document = _only(self._documents(path, "events"), path)
        return EventFile(tuple(event_value(name, event) for event in document["events"]), document["previous"])

    def _documents(self, path: Path, table: str) -> list[dict[str, Any]]:
        documents = read_table(path, table)
        if documents is None:
            raise FamilyGone(path)
        return documents

    def _current(self, name: str, file: str) -> Path:
        return self._file(name, CURRENT, file)

    def _file(self, name: str, place: str, file: str) -> Path:
        return file_of_family(self._path, name, place, name=file)


def _only(documents: list[dict[str, Any]], path: Path) -> dict[str, Any]:
    if len(documents) != 1:
        raise StoreCorrupt(f"'{path}' is damaged: it is another file of this store. It was left as it is. {REMEDY}")
    return documents[0]


def _index_value(name: str, documents: list[dict[str, Any]], path: Path) -> FamilyIndex:
    document = _only(documents, path)
    if document["name"] != name:
        raise StoreCorrupt(f"'{path}' is damaged: it is the index of another family. It was left as it is. {REMEDY}")
    return FamilyIndex(
        Family(name, tuple(document["aliases"])),
        document["count"],
        document["versions"],
        {int(number): file for number, file in document["shards"].items()},
        document["events"],
        document.get("changed_at"),
    )


def _events_bytes(events: Sequence[VersionEvent], previous: str | None) -> bytes:
    return table_bytes("events", [{"events": [event_document(event) for event in events], "previous": previous}])
