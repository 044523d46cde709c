"""Mean and variance of factors: shown, saved, carried, compared and restored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mm_core.domain.configs import (
    AS_IN_FILES,
    CARRY,
    FILES_DIGEST,
    SAME_FOR_ALL,
    Defaults,
    FactorConfig,
    FactorConfigRecord,
    FactorConfigRevision,
    Normalization,
    changes_between,
    files_digest_of,
    parse_factor_config,
    values_at,
)
from mm_core.domain.groups import Group, Scan
from mm_core.domain.moments import utc_now
from mm_core.domain.normalizers import from_files_in, over
from mm_core.errors import InvalidFactorConfig, InvalidName, RevisionConflict
from mm_core.registry.lookups import find_group, require_scan
from mm_core.store import ConfigsTransaction, ConfigsView, RegistryStore, StoreTransaction, StoreView


@dataclass(frozen=True, slots=True)
class CurrentConfig:
    """The config that bots get, and the record it is derived from."""

    config: FactorConfig
    record: FactorConfigRecord


@dataclass(frozen=True, slots=True)
class ConfigSubject:
    """What mean and variance are set for: a symbol of a registration, or a version of a family.

    ``model_name`` and ``name`` say under what the record is kept, ``factor_names`` are those of the model now, in
    dimension order. ``begun_at`` is ISO 8601 UTC, and counts while nothing was ever set. ``title`` begins sentences.
    ``unkept`` says why nothing can be set, where that is so.
    """

    title: str
    model_name: str
    name: str
    factor_names: tuple[str, ...]
    begun_at: str
    defaults: Defaults = SAME_FOR_ALL
    unkept: str = ""

    def current(self, configs: ConfigsView) -> CurrentConfig:
        """Return what is set now, defaults where nobody set anything."""
        record = configs.record(self.model_name, self.name)
        if record is None:
            record = FactorConfigRecord(self.model_name, self.name, AS_IN_FILES, self.begun_at, self.begun_at)
        record = over(record, self.defaults)
        config = record.config_for(self.factor_names, self.defaults)
        values = (config.mean_values, config.variance_values)
        return CurrentConfig(FactorConfig(self.name, config.factor_names, *values, self.defaults), record)


class Configs(ABC):
    """Reads and changes what people set for subjects of one kind; every change is a revision."""

    def __init__(self, store: RegistryStore) -> None:
        self._store = store

    def get(self, model_name: str, name: str, group_key: str | None = None) -> CurrentConfig:
        """Return a subject's config; raises what tells that there is no such subject."""
        view = self._store.view()
        return self._subject(view, model_name, name, group_key).current(self._of(view))

    def save(
        self,
        model_name: str,
        name: str,
        document: Any,
        *,
        by: str,
        note: str = "",
        group_key: str | None = None,
        expected_revision: int | None = None,
        expected_created_at: str | None = None,
        expected_files: str | None = None,
    ) -> CurrentConfig:
        """Store the config in ``document`` as a new revision; one that changes nothing stores nothing.

        Raises `InvalidFactorConfig` with every problem, and `RevisionConflict` when ``expected_revision`` is given and
        is not the current one; then nothing is stored. Revisions begin anew when a model is registered again after it
        was deleted: ``expected_created_at`` tells the two apart. A revision does not tell of files that are
        replaced: ``expected_files`` does, the `Defaults.digest` that the change was made on, and so does the one that a
        document of a version has.
        """
        seen = self._subject(self._store.view(), model_name, name, group_key)
        # before the transaction, so that a large document keeps no other writer waiting
        config, made_on = _parsed(document, seen), files_digest_of(document, seen.name)
        with self._store.transaction() as transaction:
            subject = self._subject(transaction, model_name, name, group_key)
            current = subject.current(self._of(transaction))
            _check_revision(subject, current.record, expected_revision, expected_created_at)
            _check_files(subject, expected_files)
            if subject.defaults.are_in_files:
                _check_files(subject, made_on, f", or leave its '{FILES_DIGEST}' out to set all of it")
            if subject != seen:
                config = _parsed(document, subject)
            if isinstance(config, InvalidFactorConfig):
                raise config
            values = {**current.record.values, **config.normalizations()}
            return self._save_values(transaction, subject, current, values, by, "edit", note)

    def restore(
        self,
        model_name: str,
        name: str,
        number: int,
        *,
        by: str,
        expected_revision: int | None = None,
    ) -> CurrentConfig:
        """Set every factor to what it was when revision ``number`` had been saved, as a new revision.

        Values of factors that the model does not have now are left as they are. Raises `RevisionNotFound`, and
        `RevisionConflict` where files were replaced since, whose numbers that revision has beside those that were set.
        """
        with self._store.transaction() as transaction:
            subject = self._subject(transaction, model_name, name, None)
            configs = self._of(transaction)
            current = subject.current(configs)
            _check_revision(subject, current.record, expected_revision)
            then = _values_at(subject, configs, number)
            _check_same_files(subject, configs, number)
            mine = set(subject.factor_names)
            values = {name: value for name, value in current.record.values.items() if name not in mine}
            values |= {name: value for name, value in then.items() if name in mine}
            note = f"restored revision {number}" if number != AS_IN_FILES else "restored what the files say"
            return self._save_values(transaction, subject, current, values, by, "restore", note)

    def history(self, model_name: str, name: str) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a subject's config, oldest first; raises like `get`."""
        view = self._store.view()
        subject = self._subject(view, model_name, name, None)
        return self._of(view).history(subject.model_name, subject.name)

    def at_revision(self, model_name: str, name: str, number: int) -> FactorConfig:
        """Return the model's present factors with the values of revision ``number``; raises `RevisionNotFound`."""
        view = self._store.view()
        subject = self._subject(view, model_name, name, None)
        then = _values_at(subject, self._of(view), number)
        record = FactorConfigRecord(subject.model_name, subject.name, number, "", "", then)
        return record.config_for(subject.factor_names, subject.defaults)

    @abstractmethod
    def _subject(self, view: StoreView, model_name: str, name: str, group_key: str | None) -> ConfigSubject:
        """Return a subject by the names that callers use; raise what tells that there is none."""

    @abstractmethod
    def _of(self, view: StoreView) -> ConfigsView:
        """Return where what is set for subjects of this kind is kept."""

    @abstractmethod
    def _in(self, transaction: StoreTransaction) -> ConfigsTransaction:
        """Return what changes that."""

    def _save_values(
        self,
        transaction: StoreTransaction,
        subject: ConfigSubject,
        current: CurrentConfig,
        values: Mapping[str, Normalization],
        by: str,
        action: str,
        note: str,
    ) -> CurrentConfig:
        record = current.record
        if subject.unkept:
            raise InvalidName(subject.unkept)
        if subject.defaults.are_in_files:  # what files say follows them
            mine = set(subject.factor_names)
            values = {
                name: value for name, value in values.items() if name not in mine or value != subject.defaults.of(name)
            }
        changes = changes_between(record.values, values, subject.defaults)
        if not changes:
            return current
        now = utc_now()
        kept = {name: after for name, after in values.items() if name in changes or name in record.values}
        created_at = record.created_at if record.revision != AS_IN_FILES else now
        from_files = from_files_in(kept, subject.defaults, record) if subject.defaults.are_in_files else None
        saved = FactorConfigRecord(
            record.model_name, record.subject, record.revision + 1, created_at, now, kept, from_files
        )
        revision = FactorConfigRevision(saved.revision, now, by, action, note, changes)
        self._in(transaction).save(saved, revision)
        return subject.current(self._of(transaction))


class FactorConfigs(Configs):
    """What people set for the symbols of registrations; raises `ModelNotFound`, `SymbolNotFound`, `GroupNotFound`."""

    def _subject(self, view: StoreView, model_name: str, name: str, group_key: str | None) -> ConfigSubject:
        _, scan = require_scan(view, model_name)
        return _symbol_of(model_name, find_group(scan, model_name, name, group_key))

    def _of(self, view: StoreView) -> ConfigsView:
        return view.configs

    def _in(self, transaction: StoreTransaction) -> ConfigsTransaction:
        return transaction.configs


def current_config(view: StoreView, model_name: str, group: Group) -> CurrentConfig:
    """Return a group's config at this view, defaults where nobody set anything."""
    return _symbol_of(model_name, group).current(view.configs)


def carry_factor_configs(transaction: StoreTransaction, model_name: str, previous: Scan | None, scan: Scan) -> None:
    """Create missing configs, and note in the others' history which factors a scan brought or took away.

    Values move with their factor's name by themselves: a record holds them by name.
    """
    factors_before = {group.symbol.casefold(): group.factors.names for group in (previous or scan).groups.values()}
    now = utc_now()
    for group in scan.groups.values():
        if previous is not None and previous.groups.get(group.group_key) is group:
            continue  # taken over from the scan before: its config was carried then
        record = transaction.configs.record(model_name, group.symbol)
        names = group.factors.names
        before = factors_before.get(group.symbol.casefold(), names)
        if record is None:
            created = FactorConfigRecord(model_name, group.symbol, 1, now, now)
            transaction.configs.save(created, FactorConfigRevision(1, now, "scan", "create"))
        elif before != names:
            revision = FactorConfigRevision(
                record.revision + 1,
                now,
                "scan",
                CARRY,
                added=tuple(name for name in names if name not in set(before)),
                dropped=tuple(name for name in before if name not in set(names)),
            )
            carried = FactorConfigRecord(
                model_name, group.symbol, revision.number, record.created_at, now, record.values
            )
            transaction.configs.save(carried, revision)


def _symbol_of(model_name: str, group: Group) -> ConfigSubject:
    title = f"The factor config of '{group.symbol}'"
    return ConfigSubject(title, model_name, group.symbol, group.factors.names, group.read_at)


def _parsed(document: Any, subject: ConfigSubject) -> FactorConfig | InvalidFactorConfig:
    """Return the config in a document, or why it is none."""
    try:
        return parse_factor_config(document, subject.name, subject.factor_names, subject.defaults)
    except InvalidFactorConfig as error:
        return error


def _values_at(subject: ConfigSubject, configs: ConfigsView, number: int) -> Mapping[str, Normalization]:
    if number == AS_IN_FILES and subject.defaults.are_in_files:
        return {}
    return values_at(configs.history(subject.model_name, subject.name), number)


def _check_same_files(subject: ConfigSubject, configs: ConfigsView, number: int) -> None:
    """Refuse a revision from before other files came: what it has of theirs would count as set by somebody."""
    if not subject.defaults.are_in_files or number == AS_IN_FILES:
        return
    later = [one for one in configs.history(subject.model_name, subject.name) if one.number > number]
    carried = next((one for one in later if one.action == CARRY and one.changes), None)
    if carried is not None:
        raise RevisionConflict(
            f"{subject.title} at revision {number} has numbers of files that were replaced since (revision "
            f"{carried.number} carries what was set on to the new ones); they would be set over theirs. Set the "
            "numbers that you want by hand, or restore a later revision; nothing was stored."
        )


def _check_revision(
    subject: ConfigSubject, record: FactorConfigRecord, expected: int | None, created_at: str | None = None
) -> None:
    if created_at is not None and created_at != record.created_at:
        raise RevisionConflict(
            f"{subject.title} was begun anew at {record.created_at}, the change was made on the "
            "one before. Read it again and repeat the change; nothing was stored."
        )
    if expected is not None and expected != record.revision:
        raise RevisionConflict(
            f"{subject.title} is at revision {record.revision}, the change was made on "
            f"revision {expected}. Read it again and repeat the change; nothing was stored."
        )


def _check_files(subject: ConfigSubject, expected: str | None, other_way: str = "") -> None:
    if expected is not None and expected != subject.defaults.digest:
        raise RevisionConflict(
            f"{subject.title} is another one: its files were replaced since the change was begun, and numbers of "
            f"before would be set over theirs. Read it again and repeat the change{other_way}; nothing was stored."
        )
