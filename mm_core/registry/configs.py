"""Factor configs: shown, saved, carried, compared and restored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mm_core.domain.configs import (
    FactorConfig,
    FactorConfigRecord,
    FactorConfigRevision,
    Normalization,
    changes_between,
    parse_factor_config,
    values_at,
)
from mm_core.domain.groups import Group, Scan
from mm_core.domain.moments import utc_now
from mm_core.errors import RevisionConflict
from mm_core.registry.lookups import find_group, require_scan
from mm_core.store import RegistryStore, StoreTransaction, StoreView


@dataclass(frozen=True, slots=True)
class CurrentConfig:
    """The config that bots get, and the record it is derived from."""

    config: FactorConfig
    record: FactorConfigRecord


def current_config(view: StoreView, model_name: str, group: Group) -> CurrentConfig:
    """Return a group's config at this view, defaults where nobody set anything."""
    record = view.factor_config(model_name, group.symbol)
    if record is None:
        record = FactorConfigRecord(model_name, group.symbol, 0, group.read_at, group.read_at)
    config = record.config_for(group.factors.names)
    return CurrentConfig(
        FactorConfig(group.symbol, config.factor_names, config.mean_values, config.variance_values), record
    )


def carry_factor_configs(transaction: StoreTransaction, model_name: str, previous: Scan | None, scan: Scan) -> None:
    """Create missing configs, and note in the others' history which factors a scan brought or took away.

    Values move with their factor's name by themselves: a record holds them by name.
    """
    factors_before = {group.symbol.casefold(): group.factors.names for group in (previous or scan).groups.values()}
    now = utc_now()
    for group in scan.groups.values():
        if previous is not None and previous.groups.get(group.group_key) is group:
            continue  # taken over from the scan before: its config was carried then
        record = transaction.factor_config(model_name, group.symbol)
        names = group.factors.names
        before = factors_before.get(group.symbol.casefold(), names)
        if record is None:
            created = FactorConfigRecord(model_name, group.symbol, 1, now, now)
            transaction.save_factor_config(created, FactorConfigRevision(1, now, "scan", "create"))
        elif before != names:
            revision = FactorConfigRevision(
                record.revision + 1,
                now,
                "scan",
                "carry",
                added=tuple(name for name in names if name not in set(before)),
                dropped=tuple(name for name in before if name not in set(names)),
            )
            carried = FactorConfigRecord(
                model_name, group.symbol, revision.number, record.created_at, now, record.values
            )
            transaction.save_factor_config(carried, revision)


class FactorConfigs:
    """Reads and changes what people set; every change is a revision."""

    def __init__(self, store: RegistryStore) -> None:
        self._store = store

    def get(self, model_name: str, symbol: str, group_key: str | None = None) -> CurrentConfig:
        """Return a symbol's config; raises `ModelNotFound`, `SymbolNotFound`, `GroupNotFound`."""
        view = self._store.view()
        return current_config(view, model_name, _group(view, model_name, symbol, group_key))

    def save(
        self,
        model_name: str,
        symbol: str,
        document: Any,
        *,
        by: str,
        note: str = "",
        group_key: str | None = None,
        expected_revision: int | None = None,
        expected_created_at: str | None = None,
    ) -> CurrentConfig:
        """Store the config in ``document`` as a new revision; one that changes nothing stores nothing.

        Raises `InvalidFactorConfig` with every problem, and `RevisionConflict` when ``expected_revision`` is given and
        is not the current one; then nothing is stored. Revisions begin anew when a model is registered again after it
        was deleted: ``expected_created_at`` tells the two apart.
        """
        with self._store.transaction() as transaction:
            group = _group(transaction, model_name, symbol, group_key)
            current = current_config(transaction, model_name, group)
            _check_revision(current.record, expected_revision, expected_created_at)
            config = parse_factor_config(document, group.symbol, group.factors.names)
            values = {**current.record.values, **config.normalizations()}
            return _save_values(transaction, group, current.record, values, by, "edit", note)

    def restore(
        self,
        model_name: str,
        symbol: str,
        number: int,
        *,
        by: str,
        expected_revision: int | None = None,
    ) -> CurrentConfig:
        """Set every factor to what it was when revision ``number`` had been saved, as a new revision.

        Values of factors that the model does not have now are left as they are. Raises `RevisionNotFound`.
        """
        with self._store.transaction() as transaction:
            group = _group(transaction, model_name, symbol, None)
            current = current_config(transaction, model_name, group)
            _check_revision(current.record, expected_revision)
            then = values_at(transaction.factor_config_history(model_name, symbol), number)
            mine = set(group.factors.names)
            values = {name: value for name, value in current.record.values.items() if name not in mine}
            values |= {name: value for name, value in then.items() if name in mine}
            return _save_values(
                transaction, group, current.record, values, by, "restore", f"restored revision {number}"
            )

    def history(self, model_name: str, symbol: str) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a symbol's config, oldest first; raises like `get`."""
        view = self._store.view()
        group = _group(view, model_name, symbol, None)
        return view.factor_config_history(model_name, group.symbol)

    def at_revision(self, model_name: str, symbol: str, number: int) -> FactorConfig:
        """Return the model's present factors with the values of revision ``number``; raises `RevisionNotFound`."""
        view = self._store.view()
        group = _group(view, model_name, symbol, None)
        then = values_at(view.factor_config_history(model_name, group.symbol), number)
        return FactorConfigRecord(model_name, group.symbol, number, "", "", then).config_for(group.factors.names)


def _group(view: StoreView, model_name: str, symbol: str, group_key: str | None) -> Group:
    _, scan = require_scan(view, model_name)
    return find_group(scan, model_name, symbol, group_key)


def _check_revision(record: FactorConfigRecord, expected: int | None, created_at: str | None = None) -> None:
    if created_at is not None and created_at != record.created_at:
        raise RevisionConflict(
            f"The factor config of '{record.symbol}' was begun anew at {record.created_at}, the change was made on the "
            "one before. Read it again and repeat the change; nothing was stored."
        )
    if expected is not None and expected != record.revision:
        raise RevisionConflict(
            f"The factor config of '{record.symbol}' is at revision {record.revision}, the change was made on "
            f"revision {expected}. Read it again and repeat the change; nothing was stored."
        )


def _save_values(
    transaction: StoreTransaction,
    group: Group,
    record: FactorConfigRecord,
    values: Mapping[str, Normalization],
    by: str,
    action: str,
    note: str,
) -> CurrentConfig:
    changes = changes_between(record.values, values)
    if not changes:
        return current_config(transaction, record.model_name, group)
    now = utc_now()
    kept = {name: after for name, after in values.items() if name in changes or name in record.values}
    saved = FactorConfigRecord(record.model_name, group.symbol, record.revision + 1, record.created_at, now, kept)
    transaction.save_factor_config(saved, FactorConfigRevision(saved.revision, now, by, action, note, changes))
    return current_config(transaction, record.model_name, group)
