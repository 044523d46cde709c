"""The versions of all families at one revision, and the changes that lead to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from mm_core.domain.version_records import Family, VersionEvent, VersionRecord
from mm_core.errors import StoreCorrupt
from mm_core.store.family_files import FamilyFiles, FamilyGone, FamilyIndex
from mm_core.store.storage import REMEDY

Found = TypeVar("Found")

Families = Mapping[str, str]
"""The file of each family's index, by name, in the order of the names."""


class FamilyView:
    """What `LifecycleView` promises, from the files that one state names."""

    def __init__(self, families: Families, files: FamilyFiles, newest: Callable[[], Families]) -> None:
        self._families = families
        self._files = files
        self._newest = newest

    def families(self) -> tuple[Family, ...]:
        """Return every family in the order of the names, but for those of which the index is damaged."""
        found = []
        for name in self._families:
            with suppress(StoreCorrupt):
                found.append(self.family(name))
        return tuple(family for family in found if family is not None)

    def damaged(self) -> dict[str, str]:
        """Return what is wrong with each family of which the index or a record cannot be read, a sentence each."""
        found = {}
        for name in self._families:
            try:
                self.family(name)
                self.records(name)
            except StoreCorrupt as error:
                found[name] = error.detail
        return found

    def family(self, name: str) -> Family | None:
        """Return a family by its own name."""
        return self._of(name, lambda index: index.family)

    def record(self, name: str, version: str) -> VersionRecord | None:
        """Return the record of a version."""
        return self._of(name, lambda index: self._files.record(index, version))

    def records(self, name: str) -> tuple[VersionRecord, ...]:
        """Return a family's records in the order of their versions as text."""
        records = self._of(name, lambda index: list(self._files.records(index))) or ()
        return tuple(sorted(records, key=lambda record: record.model_version))

    def record_by_id(self, model_id: str) -> VersionRecord | None:
        """Return the record that has an id."""
        for family in self.families():
            with suppress(StoreCorrupt):
                for record in self.records(family.name):
                    if record.model_id == model_id:
                        return record
        return None

    def changed_at(self, name: str) -> str | None:
        """Return the latest time of any event of a family, None where the index does not tell it."""
        return self._of(name, lambda index: index.changed_at)

    def events(self, name: str) -> tuple[VersionEvent, ...]:
        """Return a family's events, oldest first."""
        return self._of(name, self._files.events) or ()

    def _of(self, name: str, read: Callable[[FamilyIndex], Found]) -> Found | None:
        """Return what ``read`` finds at this revision, None where there is no such family.

        Should a view be held for so long that newer commits removed its files, the newest ones are read.
        """
        file = self._families.get(name)
        if file is None:
            return None
        try:
            return read(self._files.index(name, file))
        except FamilyGone as gone:
            newest = self._newest().get(name)
            if newest is None or newest == file:
                raise _missing(gone) from gone
            return read(self._files.index(name, newest))


class FamilyTransaction(FamilyView):
    """A view whose changes are kept aside until the commit writes them."""

    def __init__(self, families: Families, files: FamilyFiles, newest: Callable[[], Families]) -> None:
        super().__init__(families, files, newest)
        self._changed: dict[str, Family] = {}
        self._records: dict[str, dict[str, VersionRecord]] = {}
        self._appended: dict[str, list[VersionEvent]] = {}
        self._moved: dict[str, str] = {}

    def families(self) -> tuple[Family, ...]:
        """Return every family in the order of the names, changes included; raise `StoreCorrupt` for a damaged one."""
        known = (super(FamilyTransaction, self).family(name) for name in self._families)
        found = {family.name: family for family in known if family is not None} | self._changed
        return tuple(found[name] for name in sorted(found))

    def family(self, name: str) -> Family | None:
        """Return a family by its own name, changes included."""
        return self._changed.get(name) or super().family(name)

    def record(self, name: str, version: str) -> VersionRecord | None:
        """Return the record of a version, changes included."""
        return self._records.get(name, {}).get(version) or super().record(name, version)

    def records(self, name: str) -> tuple[VersionRecord, ...]:
        """Return a family's records in the order of their versions, changes included."""
        found = {record.model_version: record for record in super().records(name)} | self._records.get(name, {})
        return tuple(found[version] for version in sorted(found))

    def events(self, name: str) -> tuple[VersionEvent, ...]:
        """Return a family's events, changes included."""
        return (*super().events(name), *self._appended.get(name, ()))

    def save_version(self, record: VersionRecord, event: VersionEvent) -> None:
        """Add or replace a record and append the event that led to it."""
        self._changed.setdefault(record.model_name, self.family(record.model_name) or Family(record.model_name))
        self._records.setdefault(record.model_name, {})[record.model_version] = record
        self._appended.setdefault(record.model_name, []).append(event)

    def save_family(self, family: Family, event: VersionEvent) -> None:
        """Replace a family's other names and append the event that led to them."""
        self._changed[family.name] = family
        self._appended.setdefault(family.name, []).append(event)

    @property
    def has_changes(self) -> bool:
        """Whether a commit would write anything."""
        return bool(self._appended)

    def written(self) -> Families:
        """Write what changed into files; return where every family is then."""
        for name, family in self._changed.items():
            file = self._families.get(name)
            try:
                before = self._files.index(name, file) if file is not None else None
                records, events = self._records.get(name, {}), self._appended.get(name, [])
                self._moved[name] = self._files.save(before, family, records, events)
            except FamilyGone as gone:
                raise _missing(gone) from gone
        return dict(sorted({**self._families, **self._moved}.items()))

    def clean_up(self) -> None:
        """Delete files that newer ones have taken the places of."""
        for name, file in self._moved.items():
            try:
                self._files.discard(name, file, self._families.get(name))
            except FamilyGone:
                continue


def _missing(gone: FamilyGone) -> StoreCorrupt:
    return StoreCorrupt(f"'{gone}' is missing. {REMEDY}")
