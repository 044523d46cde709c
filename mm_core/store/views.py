"""The state at one revision, and the changes that lead to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tinydb import TinyDB
from tinydb.table import Document as StoredDocument

from mm_core.domain.groups import Scan, ScanSummary
from mm_core.domain.models import DeletedModel, KeptScan, RegisteredModel
from mm_core.errors import ModelNotFound
from mm_core.store import documents
from mm_core.store.config_files import ConfigFiles
from mm_core.store.config_views import ConfigTransaction, ConfigView
from mm_core.store.family_files import FamilyFiles
from mm_core.store.family_views import FamilyTransaction, FamilyView
from mm_core.store.scans import ScanFiles, found_the_same
from mm_core.store.state import OLD_CONFIGS, OLD_REVISIONS, State, shards_document
from mm_core.store.storage import Tables, open_tables

KEPT_EARLIER_SCANS = 10

KEPT_DELETIONS = 100

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Files:
    """What reads and writes each kind of file that a state names."""

    scans: ScanFiles
    configs: ConfigFiles
    normalizers: ConfigFiles
    families: FamilyFiles


class TinyDBView:
    """One revision of the state."""

    lifecycle: FamilyView
    configs: ConfigView
    normalizers: ConfigView

    def __init__(self, state: State, files: Files, newest: Callable[[], State]) -> None:
        self._base = state
        self._scans = files.scans
        self._newest = newest
        self._open(state, files, newest)

    def _open(self, state: State, files: Files, newest: Callable[[], State]) -> None:
        self.lifecycle = FamilyView(state.families, files.families, lambda: newest().families)
        self.configs = ConfigView(state.config_shards, state.old_configs, files.configs, lambda: newest().config_shards)
        self.normalizers = ConfigView(
            state.normalizer_shards, {}, files.normalizers, lambda: newest().normalizer_shards
        )

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
        index = self._of_scan(name, self._scans.load)
        return index.scan if index is not None else None

    def scan_summary(self, name: str) -> ScanSummary | None:
        """Return the figures of a model's scan."""
        return self._of_scan(name, self._scans.summary)

    def earlier_scan(self, name: str, scan_id: str) -> Scan | None:
        """Return an earlier scan of a model."""
        model = self.model(name)
        if model is None or scan_id not in {kept.scan_id for kept in model.earlier_scans}:
            return None
        index = self._scans.load(name, scan_id, is_newest=False)
        return index.scan if index is not None else None

    def kept_digests(self, name: str) -> frozenset[str]:
        """Return the SHA-256 of every model and ONNX file of a model's scan and its earlier ones."""
        model = self.model(name)
        scan_ids = [kept.scan_id for kept in model.earlier_scans] if model is not None else []
        earlier = [self._scans.digests(name, scan_id) or () for scan_id in scan_ids]
        return frozenset[str]().union(self._of_scan(name, self._scans.digests) or (), *earlier)

    def _of_scan(self, name: str, read: Callable[[str, str], Found | None]) -> Found | None:
        """Return what ``read`` finds of a model's scan; of the newest one where that of this view was removed."""
        model = self.model(name)
        if model is None or model.scan_id is None:
            return None
        found = read(name, model.scan_id)
        if found is None:
            newest = self._newest().models.get(name)
            if newest is not None and newest.scan_id is not None and newest.scan_id != model.scan_id:
                return read(name, newest.scan_id)
        return found


class TinyDBTransaction(TinyDBView):
    """A view whose changes are kept aside until the commit writes them at once."""

    lifecycle: FamilyTransaction
    configs: ConfigTransaction
    normalizers: ConfigTransaction

    def __init__(self, state: State, files: Files, newest: Callable[[], State]) -> None:
        super().__init__(state, files, newest)
        self._models = dict(state.models)
        self._deleted: set[str] = set()
        self._deletions: list[DeletedModel] = []
        self._scanned: dict[str, list[str]] = {}

    def _open(self, state: State, files: Files, newest: Callable[[], State]) -> None:
        self.lifecycle = FamilyTransaction(state.families, files.families, lambda: newest().families)
        self.configs = ConfigTransaction(
            state.config_shards, state.old_configs, files.configs, lambda: newest().config_shards
        )
        self.normalizers = ConfigTransaction(
            state.normalizer_shards, {}, files.normalizers, lambda: newest().normalizer_shards
        )

    def models(self) -> tuple[RegisteredModel, ...]:
        """Return all registrations in the order of their names, changes included."""
        return tuple(self._models[name] for name in sorted(self._models))

    def model(self, name: str) -> RegisteredModel | None:
        """Return one registration, changes included."""
        return self._models.get(name)

    def deleted_models(self) -> tuple[DeletedModel, ...]:
        """Return the last registrations that were deleted, changes included."""
        return (*super().deleted_models(), *self._deletions)[-KEPT_DELETIONS:]

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
        self.configs.delete(name)

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

    @property
    def has_changes(self) -> bool:
        """Whether a commit would write anything."""
        return (
            bool(self._deletions)
            or self._models != self._base.models
            or any(each.has_changes for each in (self.lifecycle, self.configs, self.normalizers))
        )

    def committed_tables(self) -> Tables:
        """Write the configs that changed, and return the tables of the next revision."""
        database, storage = open_tables({name: dict(table) for name, table in self._base.tables.items()})
        for name in ("meta", OLD_CONFIGS, OLD_REVISIONS):
            database.drop_table(name)
        database.table("meta").insert({"revision": self._base.revision + 1})
        if self._models != self._base.models:
            _replace(database, "models", [documents.model_document(model) for model in self.models()])
        if self._deletions:
            _replace(database, "deleted_models", [deleted._asdict() for deleted in self.deleted_models()])
        for table, configs, before in (
            ("config_shards", self.configs, self._base.config_shards),
            ("normalizer_shards", self.normalizers, self._base.normalizer_shards),
        ):
            shards = configs.written()
            if shards != before:
                _replace(database, table, [shards_document(*each) for each in sorted(shards.items())])
        if self.lifecycle.has_changes:
            families = self.lifecycle.written().items()
            _replace(database, "families", [{"name": name, "file": file} for name, file in families])
        return _plain(storage.tables)

    def clean_up(self) -> None:
        """Delete files that no current, previous or kept scan uses, and those of configs that are elsewhere now."""
        for name in self._deleted - self._models.keys():
            self._scans.delete(name)
        for name, scan_ids in self._scanned.items():
            kept = self._models[name].earlier_scans if name in self._models else ()
            self._scans.discard(name, {*scan_ids, *(scan.scan_id for scan in kept)})
        self.configs.clean_up(self._models)
        self.normalizers.clean_up(())
        self.lifecycle.clean_up()


def _replace(database: TinyDB, table: str, rows: list[dict[str, Any]]) -> None:
    database.drop_table(table)
    database.table(table).insert_multiple(rows)


def _plain(tables: Tables) -> Tables:
    return {
        name: {str(number): dict(row) if isinstance(row, StoredDocument) else row for number, row in table.items()}
        for name, table in tables.items()
    }
