"""Scans as immutable files: an index for each, and shards that scans share where nothing changed."""

from __future__ import annotations

import gc
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mm_core.domain.groups import Scan, ScanSummary
from mm_core.domain.sharing import Shared
from mm_core.domain.versions import Version
from mm_core.errors import StoreCorrupt, StoreTooNew
from mm_core.store.documents import Document, finding_document, finding_value, summary_document, summary_value
from mm_core.store.durable import clear_of
from mm_core.store.pending_files import PendingFiles
from mm_core.store.places import file_of_model
from mm_core.store.scan_entries import GROUPS, VERSIONS, Entry, Kind
from mm_core.store.sharding import by_shard, shard_count_for
from mm_core.store.storage import read_table, table_bytes, table_documents

ENTRIES_PER_SHARD = 32
KEPT_SCANS = 2
REMEMBERED_SHARDS = 1024
"""Of which the digests of models are known: shards never change."""


@dataclass(frozen=True, slots=True)
class Shards:
    """Which files hold the groups, or the versions, of a scan; a shard without any has no file."""

    count: int
    files: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class ScanIndex:
    """Which files make a scan."""

    scan_id: str
    shards: Mapping[str, Shards]
    scan: Scan
    summary: ScanSummary

    def names(self) -> set[str]:
        """Return the names of all shards."""
        return {name for shards in self.shards.values() for name in shards.files.values()}


class ScanFiles:
    """The scans of all models below one directory; what was read or written last stays parsed in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pending = PendingFiles(None, self._forget)
        self._loaded: dict[str, dict[str, ScanIndex]] = {}
        self._loading = threading.Lock()
        self._digests_of = lru_cache(REMEMBERED_SHARDS)(_read_digests)

    def load(self, model_name: str, scan_id: str, *, is_newest: bool = True) -> ScanIndex | None:
        """Return a stored scan, None when one of its files is gone, damaged or of a newer version: it is made again.

        One that is not the newest is remembered where there is room.
        """
        index = self._loaded.get(model_name, {}).get(scan_id)
        if index is not None:
            return index
        with self._loading:  # two threads that ask for the same scan must not both parse it
            return self._load(model_name, scan_id, is_newest)

    def _load(self, model_name: str, scan_id: str, is_newest: bool) -> ScanIndex | None:
        known = self._loaded.get(model_name, {})
        if scan_id in known:
            return known[scan_id]
        document = self._index(model_name, scan_id)
        if document is None:
            return None
        shards = {kind.table: _shards(document, kind) for kind in (GROUPS, VERSIONS)}
        with _nothing_collected():
            groups = self._entries(model_name, GROUPS, shards, known.values())
            versions = self._entries(model_name, VERSIONS, shards, known.values())
        if groups is None or versions is None:
            return None
        findings = tuple(finding_value(row) for row in document["findings"])
        scan = Scan(document["scanned_at"], groups, findings, versions, document.get("latest", {}))
        index = ScanIndex(scan_id, shards, scan, scan.summary())
        self._remember(model_name, index, is_newest)
        return index

    def summary(self, model_name: str, scan_id: str) -> ScanSummary | None:
        """Return the figures of a stored scan, None when one of its files is gone; its groups are not read."""
        index = self._loaded.get(model_name, {}).get(scan_id)
        if index is not None:
            return index.summary
        document = self._index(model_name, scan_id)
        if document is not None and "summary" not in document:  # written by a format before 3
            index = self.load(model_name, scan_id)
            return index.summary if index is not None else None
        if document is None or not all(self._shard_path(model_name, name).exists() for name in _names_in(document)):
            return None
        return summary_value(document["summary"])

    def digests(self, model_name: str, scan_id: str) -> frozenset[str] | None:
        """Return the SHA-256 of every model and ONNX file that the groups and versions of a stored scan have.

        None where its index is gone.
        """
        names = self._shard_names(model_name, scan_id)
        if names is None:
            return None
        return frozenset[str]().union(*(self._digests_of(self._shard_path(model_name, name)) for name in names))

    def save(self, model_name: str, scan: Scan, previous_id: str | None) -> str:
        """Write the shards that differ from those of ``previous_id``, then an index; return the new scan's id."""
        previous = self.load(model_name, previous_id) if previous_id is not None else None
        scan_id = f"{time.time_ns():016x}-{uuid.uuid4().hex[:8]}"
        ordered = Scan(
            scan.scanned_at,
            {key: scan.groups[key] for key in sorted(scan.groups)},
            scan.findings,
            {path: scan.versions[path] for path in sorted(scan.versions)},
            scan.latest,
        )
        groups = self._save(model_name, GROUPS, ordered, scan_id, previous)
        versions = self._save(model_name, VERSIONS, ordered, scan_id, previous)
        shards = {GROUPS.table: groups, VERSIONS.table: versions}
        summary = scan.summary()
        index_document = {
            "scanned_at": scan.scanned_at,
            "summary": summary_document(summary),
            "findings": [finding_document(finding) for finding in scan.findings],
            "latest": scan.latest,
            **_numbered(groups, GROUPS),
            **_numbered(versions, VERSIONS),
        }
        self.pending.write(self._index_path(model_name, scan_id), table_bytes("index", [index_document]))
        self._remember(model_name, ScanIndex(scan_id, shards, ordered, summary))
        return scan_id

    def discard(self, model_name: str, keep: Iterable[str]) -> None:
        """Delete a model's files that none of the scans ``keep`` uses, but for those written just now."""
        wanted: set[str] = set()
        for scan_id in keep:
            wanted.add(self._index_path(model_name, scan_id).name)
            wanted |= self._shard_names(model_name, scan_id) or set()
        clear_of(self.path / model_name, wanted)

    def walk(self, model_name: str, scan_id: str, read: Callable[[Path], bytes | None]) -> None:
        """Call ``read`` for every file of a scan; what it returns says which come next."""
        path = self._index_path(model_name, scan_id)
        data = read(path)
        if data is not None:
            (document,) = table_documents(data, path, "index")
            for name in _names_in(document):
                read(self._shard_path(model_name, name))

    def remember_only(self, model_names: Container[str]) -> None:
        """Forget what was read of all models but these; their files are somebody else's to delete."""
        for model_name in list(self._loaded):
            if model_name not in model_names:
                self._loaded.pop(model_name, None)

    def delete(self, model_name: str) -> None:
        """Delete all files of a model."""
        self._loaded.pop(model_name, None)
        shutil.rmtree(self.path / model_name, ignore_errors=True)

    def _save(self, model_name: str, kind: Kind[Entry], scan: Scan, scan_id: str, previous: ScanIndex | None) -> Shards:
        """Write those shards of one kind that differ from the previous ones."""
        entries = kind.entries_of(scan)
        before = previous.shards[kind.table] if previous is not None else None
        count = shard_count_for(len(entries), ENTRIES_PER_SHARD, before.count if before is not None else None)
        is_as_before = before is not None and before.count == count
        known = by_shard(kind.entries_of(previous.scan), count) if previous is not None and is_as_before else {}
        files = {}
        for number, held in by_shard(entries, count).items():
            if before is not None and number in known and _are_equal(known[number], held):
                files[number] = before.files[number]
            else:
                files[number] = f"{kind.prefix}-{number:04d}-{scan_id}.json"
                data = table_bytes(kind.table, map(kind.document, held.values()))
                self.pending.write(self._shard_path(model_name, files[number]), data)
        return Shards(count, files)

    def _entries(
        self, model_name: str, kind: Kind[Entry], shards: Mapping[str, Shards], known: Iterable[ScanIndex]
    ) -> dict[str, Entry] | None:
        """Return what the shards of one kind hold, in the order of the keys; None where one cannot be read."""
        parsed = {name: index for index in known for name in index.shards[kind.table].files.values()}
        held: dict[str, dict[int, dict[str, Entry]]] = {}
        found: dict[str, Entry] = {}
        memo: Shared = {}
        for number, name in shards[kind.table].files.items():
            if name in parsed:
                index = parsed[name]
                if index.scan_id not in held:
                    held[index.scan_id] = by_shard(kind.entries_of(index.scan), index.shards[kind.table].count)
                found.update(held[index.scan_id].get(number, {}))
                continue
            rows = _readable(self._shard_path(model_name, name), kind.table, kind.read)
            if rows is None:
                return None
            values = (kind.value(row, memo) for row in rows)
            found.update((getattr(value, kind.key), value) for value in values)
        return {key: found[key] for key in sorted(found)}

    def _shard_names(self, model_name: str, scan_id: str) -> set[str] | None:
        """Return the shard files of a scan without parsing them, None where its index is gone."""
        known = self._loaded.get(model_name, {}).get(scan_id)
        if known is not None:
            return known.names()
        document = self._index(model_name, scan_id)
        return set(_names_in(document)) if document is not None else None

    def _remember(self, model_name: str, index: ScanIndex, is_newest: bool = True) -> None:
        known = list(self._loaded.get(model_name, {}).values())
        known.insert(len(known) if is_newest else 0, index)  # not by their ids' times: clocks are set back
        self._loaded[model_name] = {each.scan_id: each for each in known[-KEPT_SCANS:]}

    def _forget(self, path: Path) -> None:
        """Forget what was read of a file that was taken back: the scan whose index it is."""
        model_name = path.parent.name
        with self._loading:  # a thread that is reading another scan must not remember this one again
            known = self._loaded.get(model_name, {})
            kept = {each: index for each, index in known.items() if self._index_path(model_name, each) != path}
            if kept:
                self._loaded[model_name] = kept
            else:
                self._loaded.pop(model_name, None)

    def _index(self, model_name: str, scan_id: str) -> dict[str, Any] | None:
        documents = _readable(self._index_path(model_name, scan_id), "index")
        return documents[0] if documents is not None else None

    def _index_path(self, model_name: str, scan_id: str) -> Path:
        return file_of_model(self.path, model_name, name=f"index-{scan_id}.json")

    def _shard_path(self, model_name: str, name: str) -> Path:
        return file_of_model(self.path, model_name, name=name)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Keep Python from looking for garbage: what is read stays, and the search took a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def found_the_same(before: Scan, after: Scan) -> bool:
    """Return whether two scans of a root read the same files with the same findings.

    Files of versions that are not read, such as a log that grows, make no other scan.
    """
    return (
        before.findings == after.findings
        and before.latest == after.latest
        and _are_equal(before.groups, after.groups)
        and before.versions.keys() == after.versions.keys()
        and all(_says_the_same(before.versions[path], version) for path, version in after.versions.items())
    )


def _says_the_same(before: Version, after: Version) -> bool:
    return before is after or (before.read_at == after.read_at and before.findings == after.findings)


def _shards(document: Mapping[str, Any], kind: Kind[Any]) -> Shards:
    """Return where an index has one kind of entries; one of a format before 4 has no versions."""
    files = document.get(kind.shards, {})
    return Shards(document.get(kind.shard_count, 1), {int(number): name for number, name in files.items()})


def _numbered(shards: Shards, kind: Kind[Any]) -> Document:
    """Return what `_shards` reads."""
    return {kind.shard_count: shards.count, kind.shards: {str(number): name for number, name in shards.files.items()}}


def _names_in(document: Mapping[str, Any]) -> list[str]:
    return [name for kind in (GROUPS, VERSIONS) for name in _shards(document, kind).files.values()]


def _readable(path: Path, table: str, read: Callable[[Path, str], list[Any] | None] = read_table) -> list[Any] | None:
    try:
        return read(path, table)
    except (StoreCorrupt, StoreTooNew):  # `TinyDBStore.problems` tells
        return None


def _read_digests(path: Path) -> frozenset[str]:
    kind = VERSIONS if path.name.startswith(f"{VERSIONS.prefix}-") else GROUPS
    documents = _readable(path, kind.table) or []
    return frozenset(sha256 for document in documents for sha256 in kind.digests(document) if sha256 is not None)


def _are_equal(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> bool:
    return before.keys() == after.keys() and all(
        before[key] is entry or (before[key].read_at == entry.read_at and before[key].files == entry.files)
        for key, entry in after.items()
    )
