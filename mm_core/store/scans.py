"""Parsed groups as immutable files: an index for each scan, and shards that scans share where nothing changed."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mm_core.domain.groups import Group, Scan, ScanSummary
from mm_core.domain.sharing import Shared, with_shared_values
from mm_core.errors import StoreCorrupt, StoreTooNew
from mm_core.store.documents import (
    finding_document,
    finding_value,
    group_document,
    group_value,
    summary_document,
    summary_value,
)
from mm_core.store.durable import clear_of
from mm_core.store.places import file_of_model
from mm_core.store.sharding import shard_count_for, shard_of
from mm_core.store.storage import read_table, table_documents, write_table

GROUPS_PER_SHARD = 32
KEPT_SCANS = 2
REMEMBERED_SHARDS = 1024
"""Of which the digests of models are known: shards never change."""


@dataclass(frozen=True, slots=True)
class ScanIndex:
    """Which shard files make a scan; a shard without groups has no file."""

    scan_id: str
    shard_count: int
    shards: dict[int, str]
    scan: Scan
    summary: ScanSummary


class ScanFiles:
    """The scans of all models below one directory; what was read or written last stays parsed in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loaded: dict[str, dict[str, ScanIndex]] = {}
        self._loading = threading.Lock()
        self._digests_of = lru_cache(REMEMBERED_SHARDS)(self._read_digests)

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
        shards = {int(number): name for number, name in document["shards"].items()}
        shared = {name: index for index in known.values() for name in index.shards.values()}
        groups: dict[str, Group] = {}
        memo: Shared = {}
        for number, name in shards.items():
            if name in shared:
                groups.update(_shard_groups(shared[name], number))
                continue
            shard = self._read_shard(self._shard_path(model_name, name), memo)
            if shard is None:
                return None
            groups.update(shard)
        findings = tuple(finding_value(row) for row in document["findings"])
        scan = Scan(document["scanned_at"], {key: groups[key] for key in sorted(groups)}, findings)
        index = ScanIndex(scan_id, document["shard_count"], shards, scan, scan.summary())
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
        if document is None or not all(
            self._shard_path(model_name, name).exists() for name in document["shards"].values()
        ):
            return None
        return summary_value(document["summary"])

    def digests(self, model_name: str, scan_id: str) -> frozenset[str]:
        """Return the SHA-256 of every model and ONNX file that the groups of a stored scan have."""
        names = self._shard_names(model_name, scan_id)
        return frozenset[str]().union(*(self._digests_of(self._shard_path(model_name, name)) for name in names))

    def save(self, model_name: str, scan: Scan, previous_id: str | None) -> str:
        """Write the shards that differ from those of ``previous_id``, then an index; return the new scan's id."""
        previous = self.load(model_name, previous_id) if previous_id is not None else None
        scan_id = f"{time.time_ns():016x}-{uuid.uuid4().hex[:8]}"
        shard_count = shard_count_for(
            len(scan.groups), GROUPS_PER_SHARD, previous.shard_count if previous is not None else None
        )
        by_shard: dict[int, dict[str, Group]] = {}
        for group in scan.groups.values():
            by_shard.setdefault(shard_of(group.group_key, shard_count), {})[group.group_key] = group
        reusable = previous is not None and previous.shard_count == shard_count
        before = _by_shard(previous) if previous is not None and reusable else {}
        shards = {}
        for number, groups in by_shard.items():
            if previous is not None and number in before and _are_equal(before[number], groups):
                shards[number] = previous.shards[number]
            else:
                shards[number] = f"shard-{number:04d}-{scan_id}.json"
                write_table(
                    self._shard_path(model_name, shards[number]), "groups", map(group_document, groups.values())
                )
        summary = scan.summary()
        index_document = {
            "scanned_at": scan.scanned_at,
            "summary": summary_document(summary),
            "findings": [finding_document(finding) for finding in scan.findings],
            "shard_count": shard_count,
            "shards": {str(number): name for number, name in shards.items()},
        }
        write_table(self._index_path(model_name, scan_id), "index", [index_document])
        ordered = Scan(scan.scanned_at, {key: scan.groups[key] for key in sorted(scan.groups)}, scan.findings)
        self._remember(model_name, ScanIndex(scan_id, shard_count, shards, ordered, summary))
        return scan_id

    def discard(self, model_name: str, keep: Iterable[str]) -> None:
        """Delete a model's files that none of the scans ``keep`` uses, but for those written just now."""
        wanted: set[str] = set()
        for scan_id in keep:
            wanted.add(self._index_path(model_name, scan_id).name)
            wanted |= self._shard_names(model_name, scan_id)
        clear_of(self.path / model_name, wanted)

    def _shard_names(self, model_name: str, scan_id: str) -> set[str]:
        """Return the shard files of a scan without parsing them."""
        known = self._loaded.get(model_name, {}).get(scan_id)
        if known is not None:
            return set(known.shards.values())
        document = self._index(model_name, scan_id)
        return set(document["shards"].values()) if document is not None else set()

    def walk(self, model_name: str, scan_id: str, read: Callable[[Path], bytes | None]) -> None:
        """Call ``read`` for every file of a scan; what it returns says which come next."""
        path = self._index_path(model_name, scan_id)
        data = read(path)
        if data is not None:
            (document,) = table_documents(data, path, "index")
            for name in document["shards"].values():
                read(self._shard_path(model_name, name))

    def delete(self, model_name: str) -> None:
        """Delete all files of a model."""
        self._loaded.pop(model_name, None)
        shutil.rmtree(self.path / model_name, ignore_errors=True)

    def _remember(self, model_name: str, index: ScanIndex, is_newest: bool = True) -> None:
        known = list(self._loaded.get(model_name, {}).values())
        known.insert(len(known) if is_newest else 0, index)  # not by their ids' times: clocks are set back
        self._loaded[model_name] = {each.scan_id: each for each in known[-KEPT_SCANS:]}

    def _index(self, model_name: str, scan_id: str) -> dict[str, Any] | None:
        documents = _readable(self._index_path(model_name, scan_id), "index")
        return documents[0] if documents is not None else None

    def _read_shard(self, path: Path, memo: Shared) -> dict[str, Group] | None:
        documents = _readable(path, "groups")
        if documents is None:
            return None
        return {document["group_key"]: with_shared_values(group_value(document), memo) for document in documents}

    def _read_digests(self, path: Path) -> frozenset[str]:
        shard = self._read_shard(path, {}) or {}
        models = {group.model.sha256 for group in shard.values() if group.model is not None}
        return frozenset(models | {group.onnx_sha256 for group in shard.values() if group.onnx_sha256 is not None})

    def _index_path(self, model_name: str, scan_id: str) -> Path:
        return file_of_model(self.path, model_name, name=f"index-{scan_id}.json")

    def _shard_path(self, model_name: str, name: str) -> Path:
        return file_of_model(self.path, model_name, name=name)


def _readable(path: Path, table: str) -> list[dict[str, Any]] | None:
    try:
        return read_table(path, table)
    except (StoreCorrupt, StoreTooNew):  # `TinyDBStore.problems` tells
        return None


def found_the_same(before: Scan, after: Scan) -> bool:
    """Return whether two scans of a root read the same files with the same findings."""
    return before.findings == after.findings and _are_equal(dict(before.groups), dict(after.groups))


def _by_shard(index: ScanIndex) -> dict[int, dict[str, Group]]:
    shards: dict[int, dict[str, Group]] = {}
    for group in index.scan.groups.values():
        shards.setdefault(shard_of(group.group_key, index.shard_count), {})[group.group_key] = group
    return shards


def _shard_groups(index: ScanIndex, number: int) -> dict[str, Group]:
    return _by_shard(index).get(number, {})


def _are_equal(before: dict[str, Group], after: dict[str, Group]) -> bool:
    return before.keys() == after.keys() and all(
        before[key] is group or (before[key].read_at == group.read_at and before[key].files == group.files)
        for key, group in after.items()
    )
