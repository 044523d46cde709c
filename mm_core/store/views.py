"""The state at one revision, and the changes that lead to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from tinydb import TinyDB
from tinydb.table import Document as StoredDocument

from mm_core.domain.configs import FactorConfigRecord, FactorConfigRevision, FactorConfigStamp
from mm_core.domain.groups import Scan, ScanSummary
from mm_core.domain.models import DeletedModel, KeptScan, RegisteredModel
from mm_core.errors import ModelNotFound, StoreCorrupt
from mm_core.store import documents
from mm_core.store.config_files import NO_CONFIGS, ConfigFiles, ConfigGone, ConfigRow, ConfigShards, next_row
from mm_core.store.contract import StoreView
from mm_core.store.family_files import FamilyFiles
from mm_core.store.family_views import FamilyTransaction, FamilyView
from mm_core.store.scans import ScanFiles, found_the_same
from mm_core.store.state import OLD_CONFIGS, OLD_REVISIONS, State, shards_document
from mm_core.store.storage import REMEDY, Tables, open_tables

KEPT_EARLIER_SCANS = 10

KEPT_DELETIONS = 100

Found = TypeVar("Found")
Key = tuple[str, str]


class TinyDBView:
    """One revision of the state."""

    def __init__(
        self, state: State, scans: ScanFiles, configs: ConfigFiles, families: FamilyFiles, newest: Callable[[], State]
    ) -> None:
        self._base = state
        self._scans = scans
        self._configs = configs
        self._newest = newest
        self.lifecycle = FamilyView(state.families, families, lambda: newest().families)

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
        earlier = [self._scans.digests(name, scan_id) for scan_id in scan_ids]
        return frozenset[str]().union(self._of_scan(name, self._scans.digests) or (), *earlier)

    def factor_config(self, name: str, symbol: str) -> FactorConfigRecord | None:
        """Return what is set for a symbol."""
        return self._of_symbol(name, symbol, partial(self._configs.record, name))

    def factor_config_stamp(self, name: str, symbol: str) -> FactorConfigStamp | None:
        """Return how far a symbol's config is."""
        return self._of_symbol(name, symbol, _stamp_of)

    def factor_config_stamps(self, name: str) -> dict[str, FactorConfigStamp]:
        """Return how far each config of a model is."""
        old = self._base.old_configs.get(name)
        if old is not None:
            rows: Iterable[ConfigRow] = old.values()
        else:
            rows = self._from_files(name, lambda shards: list(self._configs.rows(name, shards))) or ()
        found = {row.symbol.casefold(): _stamp_of(row) for row in rows}
        return {symbol: found[symbol] for symbol in sorted(found)}

    def factor_configs_since(self, name: str, before: StoreView) -> frozenset[str] | None:
        """Return the casefolded symbols of a model whose config may differ from an earlier view's."""
        assert isinstance(before, TinyDBView)
        old, new = before._base, self._base
        if name in old.old_configs or name in new.old_configs:
            return frozenset() if old is new else None
        shards = [state.config_shards.get(name, NO_CONFIGS) for state in (old, new)]
        try:
            return self._configs.changed_symbols(name, *shards)
        except ConfigGone:
            return None

    def factor_config_history(self, name: str, symbol: str) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a symbol's config, oldest first."""
        return self._of_symbol(name, symbol, partial(self._configs.history, name)) or ()

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

    def _row(self, name: str, symbol: str) -> ConfigRow | None:
        return self._of_symbol(name, symbol, lambda row: row)

    def _of_symbol(self, name: str, symbol: str, read: Callable[[ConfigRow], Found]) -> Found | None:
        old = self._base.old_configs.get(name)
        if old is not None:
            row = old.get(symbol.casefold())
            return read(row) if row is not None else None

        def from_shards(shards: ConfigShards) -> Found | None:
            row = self._configs.row(name, shards, symbol)
            return read(row) if row is not None else None

        return self._from_files(name, from_shards)

    def _from_files(self, name: str, read: Callable[[ConfigShards], Found]) -> Found | None:
        """Return what ``read`` finds at this revision, None where the model has no configs.

        Should a view be held for so long that newer commits removed its files, the newest ones are read.
        """
        shards = self._base.config_shards.get(name)
        if shards is None:
            return None
        try:
            return read(shards)
        except ConfigGone as gone:
            newest = self._newest().config_shards.get(name)
            if newest == shards:
                raise _missing(gone) from gone
            return read(newest) if newest is not None else None


class TinyDBTransaction(TinyDBView):
    """A view whose changes are kept aside until the commit writes them at once."""

    lifecycle: FamilyTransaction

    def __init__(
        self, state: State, scans: ScanFiles, configs: ConfigFiles, families: FamilyFiles, newest: Callable[[], State]
    ) -> None:
        super().__init__(state, scans, configs, families, newest)
        self.lifecycle = FamilyTransaction(state.families, families, lambda: newest().families)
        self._models = dict(state.models)
        self._deleted: set[str] = set()
        self._deletions: list[DeletedModel] = []
        self._records: dict[Key, FactorConfigRecord] = {}
        self._revisions: dict[Key, list[FactorConfigRevision]] = {}
        self._scanned: dict[str, list[str]] = {}
        self._moved: dict[str, ConfigShards] = {}

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

    def factor_config_stamp(self, name: str, symbol: str) -> FactorConfigStamp | None:
        """Return how far a symbol's config is, changes included."""
        record = self.factor_config(name, symbol)
        return _stamp_of(record) if record is not None else None

    def factor_config_stamps(self, name: str) -> dict[str, FactorConfigStamp]:
        """Return how far each config of a model is, changes included."""
        found = {} if name in self._deleted else super().factor_config_stamps(name)
        found |= {key[1]: _stamp_of(record) for key, record in self._records.items() if key[0] == name}
        return {symbol: found[symbol] for symbol in sorted(found)}

    def factor_configs_since(self, name: str, before: StoreView) -> frozenset[str] | None:
        """Return the casefolded symbols of a model whose config may differ from an earlier view's, changes included."""
        found = super().factor_configs_since(name, before)
        if found is None or name in self._deleted:
            return None
        return found | {symbol for model_name, symbol in self._records if model_name == name}

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
        return (
            bool(self._records or self._revisions or self._deletions)
            or self._models != self._base.models
            or self.lifecycle.has_changes
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
        shards = self._config_shards()
        if shards != self._base.config_shards:
            _replace(database, "config_shards", [shards_document(*each) for each in sorted(shards.items())])
        if self.lifecycle.has_changes:
            families = self.lifecycle.written().items()
            _replace(database, "families", [{"name": name, "file": file} for name, file in families])
        return _plain(storage.tables)

    def _config_shards(self) -> dict[str, ConfigShards]:
        """Write what was set into files; return where all configs are then."""
        shards = {name: known for name, known in self._base.config_shards.items() if name not in self._deleted}
        rows = {name: dict(old) for name, old in self._base.old_configs.items() if name not in self._deleted}
        for (name, symbol), record in self._records.items():
            before = None if name in self._deleted else self._row(name, symbol)
            rows.setdefault(name, {})[symbol] = next_row(record, self._revisions[name, symbol], before)
        try:
            self._moved = {name: self._configs.save(name, shards.get(name), changed) for name, changed in rows.items()}
        except ConfigGone as gone:
            raise _missing(gone) from gone
        return shards | self._moved

    def clean_up(self) -> None:
        """Delete files that no current, previous or kept scan uses, and those of configs that are elsewhere now."""
        for name in self._deleted - self._models.keys():
            self._scans.delete(name)
            self._configs.delete(name)
        for name, scan_ids in self._scanned.items():
            kept = self._models[name].earlier_scans if name in self._models else ()
            self._scans.discard(name, {*scan_ids, *(scan.scan_id for scan in kept)})
        for name, shards in self._moved.items():
            self._configs.discard(name, shards, self._base.config_shards.get(name))
        self.lifecycle.clean_up()


def _replace(database: TinyDB, table: str, rows: list[dict[str, Any]]) -> None:
    database.drop_table(table)
    database.table(table).insert_multiple(rows)


def _plain(tables: Tables) -> Tables:
    return {
        name: {str(number): dict(row) if isinstance(row, StoredDocument) else row for number, row in table.items()}
        for name, table in tables.items()
    }


def _missing(gone: ConfigGone) -> StoreCorrupt:
    return StoreCorrupt(f"'{gone}' is missing. {REMEDY}")


def _stamp_of(known: ConfigRow | FactorConfigRecord) -> FactorConfigStamp:
    return FactorConfigStamp(known.symbol, known.revision, known.updated_at)


def _record_key(record: FactorConfigRecord) -> Key:
    return (record.model_name, record.symbol.casefold())
