"""The embedded backend: registrations and configs in one TinyDB file, scans in files of their own."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tinydb.table import Document as StoredDocument

from mm_core.domain.configs import FactorConfigRecord, FactorConfigRevision
from mm_core.domain.groups import Scan
from mm_core.domain.models import DeletedModel, KeptScan, RegisteredModel
from mm_core.errors import ModelNotFound, StoreBusy, StoreError
from mm_core.store import documents
from mm_core.store.durable import DIRECTORY_MODE, TEMPORARY, write_durably
from mm_core.store.scans import ScanFiles, found_the_same
from mm_core.store.storage import Tables, format_tables, identity, open_tables, parse_tables, read_file

KEPT_EARLIER_SCANS = 10

KEPT_DELETIONS = 100

LEAST_FREE_BYTES = 100 << 20

Key = tuple[str, str]


class TinyDBStore:
    """State below one directory, shared by any number of processes; see the contract for what callers may rely on."""

    def __init__(self, data_dir: Path, lock_timeout: float = 10.0) -> None:
        self._path = data_dir / "registry.json"
        self._lock_path = data_dir / "registry.lock"
        self._lock_timeout = lock_timeout
        self._threads = threading.Lock()
        self._scans = ScanFiles(data_dir / "scans")
        self._seen: tuple[tuple[int, int, int] | None, _State] = (None, _State({}))

    def view(self) -> TinyDBView:
        """Return the newest state; an unchanged file costs one ``stat``."""
        return TinyDBView(self._state(), self._scans, self)

    def stamp(self) -> tuple[int, ...]:
        """Return what differs after every commit; empty before the first."""
        try:
            return identity(os.stat(self._path))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"'{self._path}' cannot be looked at ({error.strerror}). Check permissions.") from error

    @contextmanager
    def transaction(self) -> Iterator[TinyDBTransaction]:
        """Open a write transaction, one at a time among all threads and processes."""
        if not self._threads.acquire(timeout=self._lock_timeout):
            raise StoreBusy(self._busy_sentence())
        try:
            with self._process_lock():
                transaction = TinyDBTransaction(self._state(), self._scans, self)
                yield transaction
                if transaction.has_changes:
                    self._commit(transaction)
        finally:
            self._threads.release()

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with files, permissions and space."""
        directory = self._path.parent
        if not directory.exists():
            return ()
        found = []
        if not os.access(directory, os.W_OK | os.X_OK):
            found.append(f"'{directory}' is not writable. Give it to the user of this service.")
        free = shutil.disk_usage(directory).free
        if free < LEAST_FREE_BYTES:
            found.append(f"Only {free:,} bytes are free below '{directory}'. Free some space.")
        leftovers = [*directory.glob(TEMPORARY + "*"), *(directory / "scans").glob(f"*/{TEMPORARY}*")]
        found += [f"'{path}' is left over from a write that never ended. Delete it." for path in sorted(leftovers)]
        try:
            view = self.view()
            found += [
                f"The parsed groups of model '{model.name}' are not on disk. Refresh the model."
                for model in view.models()
                if view.scan(model.name) is None
            ]
        except StoreError as error:
            found.append(error.detail)
        return tuple(found)

    def _state(self) -> _State:
        now = self.stamp()
        if not now:
            return _State({})
        seen, state = self._seen
        if seen == now:
            return state
        read = read_file(self._path)
        if read is None:
            return _State({})
        state = _State(parse_tables(read[0], self._path))
        self._seen = (read[1], state)
        return state

    @contextmanager
    def _process_lock(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
            lock = FileLock(self._lock_path, timeout=self._lock_timeout, thread_local=False)
            lock.acquire()
        except Timeout as error:
            raise StoreBusy(self._busy_sentence()) from error
        except OSError as error:
            raise StoreError(
                f"'{self._lock_path}' cannot be locked ({error.strerror}). Give this user the data directory."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _commit(self, transaction: TinyDBTransaction) -> None:
        tables = transaction.committed_tables()
        write_durably(self._path, format_tables(tables))
        self._seen = (identity(os.stat(self._path)), _State(tables))
        transaction.clean_up()

    def _busy_sentence(self) -> str:
        return (
            f"Another writer held '{self._lock_path}' for more than {self._lock_timeout:g} s. Nothing was stored; "
            "try again."
        )


class _State:
    """The parsed tables of one revision, indexed when first asked for, never changed."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    @cached_property
    def revision(self) -> int:
        return int(self.tables.get("meta", {}).get("1", {}).get("revision", 0))

    @cached_property
    def models(self) -> dict[str, RegisteredModel]:
        values = (documents.model_value(document) for document in self.tables.get("models", {}).values())
        return {model.name: model for model in sorted(values, key=lambda model: model.name)}

    @cached_property
    def deleted_models(self) -> tuple[DeletedModel, ...]:
        return tuple(DeletedModel(**document) for _, document in self._rows("deleted_models"))

    @cached_property
    def records(self) -> dict[Key, tuple[str, dict[str, Any]]]:
        return {_key_of(document): (number, document) for number, document in self._rows("factor_configs")}

    @cached_property
    def revisions(self) -> dict[Key, list[tuple[str, dict[str, Any]]]]:
        found: dict[Key, list[tuple[str, dict[str, Any]]]] = {}
        for number, document in self._rows("factor_config_revisions"):
            found.setdefault(_key_of(document), []).append((number, document))
        return found

    def _rows(self, table: str) -> list[tuple[str, dict[str, Any]]]:
        return list(self.tables.get(table, {}).items())


class TinyDBView:
    """One revision of the state."""

    def __init__(self, state: _State, scans: ScanFiles, store: TinyDBStore) -> None:
        self._base = state
        self._scans = scans
        self._store = store

    @property
    def revision(self) -> int:
        """The number of commits so far."""
        return self._base.revision

    def models(self) -> tuple[RegisteredModel, ...]:
        """Return all registrations in the order of their names."""
        return tuple(self._base.models.values())

    def model(self, name: str) -> RegisteredModel | None:
        """Return one registration."""
        return self._base.models.get(name)

    def deleted_models(self) -> tuple[DeletedModel, ...]:
        """Return the last registrations that were deleted."""
        return self._base.deleted_models

    def scan(self, name: str) -> Scan | None:
        """Return a model's parsed groups.

        Should a view be held for so long that newer commits removed its files, the newest scan is returned.
        """
        model = self.model(name)
        if model is None or model.scan_id is None:
            return None
        index = self._scans.load(name, model.scan_id)
        if index is None:
            newest = self._store.view().model(name)
            if newest is not None and newest.scan_id not in {None, model.scan_id}:
                index = self._scans.load(name, str(newest.scan_id))
        return index.scan if index is not None else None

    def earlier_scan(self, name: str, scan_id: str) -> Scan | None:
        """Return an earlier scan of a model."""
        model = self.model(name)
        if model is None or scan_id not in {kept.scan_id for kept in model.earlier_scans}:
            return None
        index = self._scans.load(name, scan_id)
        return index.scan if index is not None else None

    def factor_config(self, name: str, symbol: str) -> FactorConfigRecord | None:
        """Return what is set for a symbol."""
        found = self._base.records.get((name, symbol.casefold()))
        return documents.record_value(found[1]) if found is not None else None

    def factor_config_stamp(self, name: str, symbol: str) -> tuple[int, str] | None:
        """Return revision and time of what is set for a symbol."""
        found = self._base.records.get((name, symbol.casefold()))
        return (found[1]["revision"], found[1]["updated_at"]) if found is not None else None

    def factor_configs(self, name: str) -> tuple[FactorConfigRecord, ...]:
        """Return all records of a model in the order of their symbols."""
        keys = sorted(key for key in self._base.records if key[0] == name)
        return tuple(documents.record_value(self._base.records[key][1]) for key in keys)

    def factor_config_history(self, name: str, symbol: str) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a symbol's config, oldest first."""
        found = self._base.revisions.get((name, symbol.casefold()), [])
        revisions = [documents.revision_value(document) for _, document in found]
        return tuple(sorted(revisions, key=lambda revision: revision.number))


class TinyDBTransaction(TinyDBView):
    """A view whose changes are kept aside until the commit writes them at once."""

    def __init__(self, state: _State, scans: ScanFiles, store: TinyDBStore) -> None:
        super().__init__(state, scans, store)
        self._models = dict(state.models)
        self._deleted: set[str] = set()
        self._deletions: list[DeletedModel] = []
        self._records: dict[Key, FactorConfigRecord] = {}
        self._revisions: dict[Key, list[FactorConfigRevision]] = {}
        self._scanned: dict[str, list[str]] = {}

    def models(self) -> tuple[RegisteredModel, ...]:
        """Return all registrations in the order of their names, changes included."""
        return tuple(self._models[name] for name in sorted(self._models))

    def model(self, name: str) -> RegisteredModel | None:
        """Return one registration, changes included."""
        return self._models.get(name)

    def deleted_models(self) -> tuple[DeletedModel, ...]:
        """Return the last registrations that were deleted, changes included."""
        return (*super().deleted_models(), *self._deletions)[-KEPT_DELETIONS:]

    def factor_config(self, name: str, symbol: str) -> FactorConfigRecord | None:
        """Return what is set for a symbol, changes included."""
        key = (name, symbol.casefold())
        if key in self._records:
            return self._records[key]
        return None if name in self._deleted else super().factor_config(name, symbol)

    def factor_config_stamp(self, name: str, symbol: str) -> tuple[int, str] | None:
        """Return revision and time of what is set for a symbol, changes included."""
        record = self.factor_config(name, symbol)
        return (record.revision, record.updated_at) if record is not None else None

    def factor_configs(self, name: str) -> tuple[FactorConfigRecord, ...]:
        """Return all records of a model, changes included."""
        kept = {} if name in self._deleted else {_record_key(record): record for record in super().factor_configs(name)}
        kept |= {key: record for key, record in self._records.items() if key[0] == name}
        return tuple(kept[key] for key in sorted(kept))

    def factor_config_history(self, name: str, symbol: str) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a symbol's config, changes included."""
        before = () if name in self._deleted else super().factor_config_history(name, symbol)
        return (*before, *self._revisions.get((name, symbol.casefold()), ()))

    def save_model(self, model: RegisteredModel) -> None:
        """Add or replace a registration; its scan stays."""
        known = self._models.get(model.name)
        scans = (known.scan_id, known.earlier_scans) if known is not None else (None, ())
        self._models[model.name] = replace(model, scan_id=scans[0], earlier_scans=scans[1])

    def delete_model(self, name: str, at: str) -> None:
        """Remove a registration with all that belongs to it."""
        if self._models.pop(name, None) is not None:
            self._deletions.append(DeletedModel(name, at))
        self._deleted.add(name)
        for pending in (self._records, self._revisions):
            for key in [key for key in pending if key[0] == name]:
                del pending[key]

    def save_scan(self, name: str, scan: Scan) -> None:
        """Replace a registered model's scan."""
        model = self._models.get(name)
        if model is None:
            raise ModelNotFound(f"No model '{name}' is registered, so it can have no scan. Register it first.")
        scan_id = self._scans.save(name, scan, model.scan_id)
        self._scanned[name] = [scan_id] if model.scan_id is None else [model.scan_id, scan_id]
        earlier = model.earlier_scans
        before = self.scan(name)
        if before is not None and model.scan_id is not None and not found_the_same(before, scan):
            earlier = (*earlier, KeptScan(model.scan_id, before.scanned_at))[-KEPT_EARLIER_SCANS:]
        self._models[name] = replace(model, scan_id=scan_id, earlier_scans=earlier)

    def save_factor_config(self, record: FactorConfigRecord, revision: FactorConfigRevision) -> None:
        """Add or replace a record and append a revision."""
        key = _record_key(record)
        self._records[key] = record
        self._revisions.setdefault(key, []).append(revision)

    @property
    def has_changes(self) -> bool:
        """Whether a commit would write anything."""
        return bool(self._records or self._revisions or self._deletions) or self._models != self._base.models

    def committed_tables(self) -> Tables:
        """Return the tables of the next revision; those of this one stay as they are."""
        database, storage = open_tables({name: dict(table) for name, table in self._base.tables.items()})
        database.drop_table("meta")
        database.table("meta").insert({"revision": self._base.revision + 1})
        if self._models != self._base.models:
            database.drop_table("models")
            database.table("models").insert_multiple(documents.model_document(model) for model in self.models())
        if self._deletions:
            database.drop_table("deleted_models")
            _insert(database.table("deleted_models"), [deleted._asdict() for deleted in self.deleted_models()])
        configs, revisions = database.table("factor_configs"), database.table("factor_config_revisions")
        gone = [number for key, (number, _) in self._base.records.items() if key[0] in self._deleted]
        stale = [self._base.records[key][0] for key in self._records if key in self._base.records]
        _remove(configs, {*gone, *stale})
        _remove(
            revisions,
            {number for key, rows in self._base.revisions.items() if key[0] in self._deleted for number, _ in rows},
        )
        _insert(configs, [documents.record_document(record) for record in self._records.values()])
        _insert(
            revisions,
            [
                documents.revision_document(record.model_name, record.symbol, revision)
                for key, record in self._records.items()
                for revision in self._revisions[key]
            ],
        )
        return _plain(storage.tables)

    def clean_up(self) -> None:
        """Delete scan files that no current, previous or kept scan uses."""
        for name in self._deleted - self._models.keys():
            self._scans.delete(name)
        for name, scan_ids in self._scanned.items():
            kept = self._models[name].earlier_scans if name in self._models else ()
            self._scans.discard(name, {*scan_ids, *(scan.scan_id for scan in kept)})


def _remove(table: Any, numbers: set[str]) -> None:
    if numbers:
        table.remove(doc_ids=[int(number) for number in numbers])


def _insert(table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        table.insert_multiple(rows)


def _plain(tables: Tables) -> Tables:
    return {
        name: {str(number): dict(row) if isinstance(row, StoredDocument) else row for number, row in table.items()}
        for name, table in tables.items()
    }


def _key_of(document: dict[str, Any]) -> Key:
    return (document["model_name"], document["symbol"].casefold())


def _record_key(record: FactorConfigRecord) -> Key:
    return (record.model_name, record.symbol.casefold())
