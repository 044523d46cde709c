"""Mean and variance of factors as immutable files, so that saving some costs the same however many there are.

    registry.json ─ names ─▶ shard: where each of its subjects stands ─ name ─▶ revision file ─ previous ─▶ …

Subjects are the symbols of a registered model (`configs_below`), or the versions of a family (`normalizers_below`). One
for which nothing was ever set stands in its shard alone. Else its row names the file of the newest commit, which holds
the values then, the revisions that led there, and the file before it.
"""

from __future__ import annotations

import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from mm_core.domain.configs import FactorConfigRecord, FactorConfigRevision
from mm_core.store.chains import EachOnce
from mm_core.store.copies import Copies
from mm_core.store.documents import (
    from_files_document,
    from_files_value,
    normalizations,
    revision_document,
    revision_value,
    values_document,
)
from mm_core.store.durable import clear_of
from mm_core.store.pending_files import PendingFiles
from mm_core.store.places import file_of_family, file_of_model
from mm_core.store.sharding import shard_count_for, shard_of
from mm_core.store.storage import read_table, table_bytes, table_documents

SYMBOLS_PER_SHARD = 64
REMEMBERED_SHARDS = 4096
REMEMBERED_REVISIONS = 256

REMEMBERED_OF_A_SHARD = 2
"""Each change writes a shard anew: the one before is what a view that was just taken may still read."""

Standing = dict[str, Any]
"""Values, the revisions of one commit, and what stood before: a file's name or, where that was in the row, itself.

Of versions it also has ``from_files``, which numbers nobody set; what was written before that was noted has none.
"""


class ConfigRow(NamedTuple):
    """Where a subject stands, which files call ``symbol`` since their first format; times are ISO 8601 UTC."""

    symbol: str
    revision: int
    created_at: str
    updated_at: str
    standing: str | Standing


Shard = Mapping[str, ConfigRow]
"""Where subjects stand, by key."""


@dataclass(frozen=True, slots=True)
class ConfigShards:
    """The files that hold where a model's subjects stand, by number; ``symbols`` counts these.

    A shard without a subject has no file.
    """

    count: int
    symbols: int
    files: Mapping[int, str]


NO_CONFIGS = ConfigShards(1, 0, {})


class ConfigGone(Exception):
    """A file is not on disk: newer commits have removed it, or somebody else has; its text is the path."""


class ConfigFiles:
    """The configs of all subjects of one kind below one directory; what was read last stays in memory.

    ``key_of`` gives what a subject is known by, ``place_of`` the path of a file. Whoever reads gets `ConfigGone` for a
    file that is not there.
    """

    def __init__(self, path: Path, copies: Copies, key_of: Callable[[str], str], place_of: Callable[..., Path]) -> None:
        self._path = path
        self._copies = copies
        self._place_of = place_of
        self.key_of = key_of
        self.pending = PendingFiles(copies)
        self._shards: OrderedDict[tuple[str, str], dict[str, Shard]] = OrderedDict()
        self._remembering = threading.Lock()
        self._standing = lru_cache(REMEMBERED_REVISIONS)(self._read_standing)

    def row(self, model_name: str, shards: ConfigShards, subject: str) -> ConfigRow | None:
        """Return where a subject stands, None when it has no config."""
        key = self.key_of(subject)
        file = shards.files.get(shard_of(key, shards.count))
        return self._shard(model_name, file).get(key) if file is not None else None

    def rows(self, model_name: str, shards: ConfigShards) -> Iterator[ConfigRow]:
        """Yield where each subject of a model stands."""
        for file in shards.files.values():
            yield from self._shard(model_name, file).values()

    def changed_subjects(self, model_name: str, before: ConfigShards, after: ConfigShards) -> frozenset[str] | None:
        """Return the keys of what stands elsewhere in ``after``; None where subjects are divided otherwise."""
        if before.count != after.count:
            return None
        found: set[str] = set()
        for number in before.files.keys() | after.files.keys():
            files = before.files.get(number), after.files.get(number)
            if files[0] != files[1]:
                old, new = (self._shard(model_name, file) if file is not None else {} for file in files)
                found |= {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        return frozenset(found)

    def record(self, model_name: str, row: ConfigRow) -> FactorConfigRecord:
        """Return what is set for a subject."""
        node = self._node(model_name, row.standing)
        stamps = (row.revision, row.created_at, row.updated_at)
        values, from_files = normalizations(node["values"]), from_files_value(node.get("from_files"))
        return FactorConfigRecord(model_name, row.symbol, *stamps, values, from_files)

    def history(self, model_name: str, row: ConfigRow) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a subject's config, oldest first."""
        commits = []
        standing: str | Standing | None = row.standing
        for_once = EachOnce(f"The configs of model '{model_name}'")
        while standing is not None:
            if isinstance(standing, str):
                for_once.take(standing)
            node = self._node(model_name, standing)
            commits.append([revision_value(document) for document in node["revisions"]])
            standing = node["previous"]
        return tuple(revision for commit in reversed(commits) for revision in commit)

    def walk(self, model_name: str, shards: ConfigShards, read: Callable[[Path], bytes | None]) -> None:
        """Call ``read`` for every file of a model's configs, the older revisions included.

        What it returns says which files come next; where it returns None, those behind are left out. Raises
        `StoreCorrupt` where a revision is named twice: a chain that leads back has no end.
        """
        for_once = EachOnce(f"The configs of model '{model_name}'")
        for file in shards.files.values():
            path = self._shard_path(model_name, file)
            data = read(path)
            for document in table_documents(data, path, "rows") if data is not None else ():
                standing = document["standing"]
                while standing is not None:
                    if isinstance(standing, str):
                        for_once.take(standing)
                        path = self._revision_path(model_name, standing)
                        data = read(path)
                        if data is None:
                            break
                        (standing,) = table_documents(data, path, "revisions")
                    standing = standing["previous"]

    def save(self, model_name: str, shards: ConfigShards | None, rows: Mapping[str, ConfigRow]) -> ConfigShards:
        """Write ``rows`` by key into new shards, the other subjects' with them; return all shards."""
        before = shards or NO_CONFIGS
        rows = {key: self._written(model_name, row) for key, row in rows.items()}
        new = sum(self.row(model_name, before, key) is None for key in rows)
        count = shard_count_for(before.symbols + new, SYMBOLS_PER_SHARD, before.count if shards is not None else None)
        if count == before.count:
            files = dict(before.files)
            touched = {shard_of(key, count) for key in rows}
            kept = [row for number in touched & files.keys() for row in self._shard(model_name, files[number]).values()]
        else:
            files, kept = {}, list(self.rows(model_name, before))
        by_shard: dict[int, dict[str, ConfigRow]] = {}
        for key, row in ({self.key_of(row.symbol): row for row in kept} | rows).items():
            by_shard.setdefault(shard_of(key, count), {})[key] = row
        for number, content in by_shard.items():
            files[number] = f"shard-{number:04d}-{uuid.uuid4().hex[:16]}.json"
            documents = (row._asdict() for row in content.values())
            self.pending.write(self._shard_path(model_name, files[number]), table_bytes("rows", documents))
        return ConfigShards(count, before.symbols + new, files)

    def discard(self, model_name: str, shards: ConfigShards, before: ConfigShards | None) -> None:
        """Delete a model's shards that are not among ``shards``, but for those in use just now: ``before``."""
        wanted = set(shards.files.values())
        let_go = set(before.files.values()) - wanted if before is not None else set()
        directory = self._path / model_name / "shards"
        self._copies.remove(directory, clear_of(directory, wanted, let_go))

    def clear_unnamed(self, model_name: str, named: Set[Path]) -> None:
        """Delete the files and copies of a model that are not ``named``, of writes that never ended."""
        for directory in (self._path / model_name / "shards", *(self._path / model_name / "revisions").glob("*")):
            wanted = {path.name for path in named if path.parent == directory}
            clear_of(directory, wanted)
            clear_of(self._copies.of(directory), wanted)

    def remember_only(self, model_names: Container[str]) -> None:
        """Forget where the subjects of all models but these stand; their files are somebody else's to delete."""
        with self._remembering:
            for place in [place for place in self._shards if place[0] not in model_names]:
                del self._shards[place]

    def delete(self, model_name: str) -> None:
        """Delete all files of a model."""
        directory = self._path / model_name
        for each in (directory, self._copies.of(directory)):
            shutil.rmtree(each, ignore_errors=True)

    def _written(self, model_name: str, row: ConfigRow) -> ConfigRow:
        """Return a row whose standing is in a file, unless it says no more than that the config exists."""
        standing = row.standing
        if isinstance(standing, str) or not (standing["values"] or standing["previous"]):
            return row
        file = f"{row.revision:08d}-{uuid.uuid4().hex}.json"
        self.pending.write(self._revision_path(model_name, file), table_bytes("revisions", [standing]))
        return row._replace(standing=file)

    def _node(self, model_name: str, standing: str | Standing) -> Standing:
        return self._standing(model_name, standing) if isinstance(standing, str) else standing

    def _shard(self, model_name: str, file: str) -> Shard:
        """Return a shard; of each, the newest and the one before it stay in memory."""
        place = (model_name, file.rpartition("-")[0])
        with self._remembering:
            known = self._shards.get(place, {})
            if file in known:
                self._shards.move_to_end(place)
                return known[file]
        read = self._read_shard(model_name, file)
        with self._remembering:
            known = {**self._shards.pop(place, {}), file: read}
            self._shards[place] = dict(list(known.items())[-REMEMBERED_OF_A_SHARD:])
            if len(self._shards) > REMEMBERED_SHARDS:
                self._shards.popitem(last=False)
        return read

    def _read_shard(self, model_name: str, file: str) -> Shard:
        path = self._shard_path(model_name, file)
        documents = read_table(path, "rows")
        if documents is None:
            raise ConfigGone(path)
        return {self.key_of(document["symbol"]): ConfigRow(**document) for document in documents}

    def _read_standing(self, model_name: str, file: str) -> Standing:
        path = self._revision_path(model_name, file)
        documents = read_table(path, "revisions")
        if not documents:
            raise ConfigGone(path)
        return documents[0]

    def _shard_path(self, model_name: str, file: str) -> Path:
        return self._place_of(self._path, model_name, "shards", name=file)

    def _revision_path(self, model_name: str, file: str) -> Path:
        return self._place_of(self._path, model_name, "revisions", file[-7:-5], name=file)


def configs_below(data_dir: Path, copies: Copies) -> ConfigFiles:
    """Return the configs of registered models' symbols, which are compared without case."""
    return ConfigFiles(data_dir / "configs", copies, str.casefold, file_of_model)


def normalizers_below(data_dir: Path, copies: Copies) -> ConfigFiles:
    """Return what is set for versions, in the one spelling of each, by family."""
    return ConfigFiles(data_dir / "normalizers", copies, str, file_of_family)


def next_row(
    record: FactorConfigRecord, revisions: Sequence[FactorConfigRevision], before: ConfigRow | None
) -> ConfigRow:
    """Return where a subject stands after ``revisions``, which led from ``before`` to ``record``."""
    standing = {
        "values": values_document(record.values),
        "revisions": [revision_document(revision) for revision in revisions],
        "previous": before.standing if before is not None else None,
    }
    if record.from_files is not None:
        standing["from_files"] = from_files_document(record.from_files)
    return ConfigRow(record.subject, record.revision, record.created_at, record.updated_at, standing)
