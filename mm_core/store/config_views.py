"""What people set for subjects of one kind at one revision, and the changes that lead to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from mm_core.domain.configs import FactorConfigRecord, FactorConfigRevision, FactorConfigStamp
from mm_core.errors import StoreCorrupt
from mm_core.store.config_files import NO_CONFIGS, ConfigFiles, ConfigGone, ConfigRow, ConfigShards, next_row
from mm_core.store.contract import ConfigsView
from mm_core.store.storage import REMEDY

Found = TypeVar("Found")

Shards = Mapping[str, ConfigShards]
"""Where the configs of each model are."""

Rows = Mapping[str, Mapping[str, ConfigRow]]
"""Where each subject of each model stands in a file of the formats 1 and 2; of later ones, empty."""


class ConfigView:
    """What `ConfigsView` promises, from the files that one state names."""

    def __init__(self, shards: Shards, old: Rows, files: ConfigFiles, newest: Callable[[], Shards]) -> None:
        self._shards = shards
        self._old = old
        self._files = files
        self._newest = newest

    def names(self) -> tuple[str, ...]:
        """Return the models of which something was created."""
        return tuple(sorted({*self._shards, *self._old}))

    def record(self, name: str, subject: str) -> FactorConfigRecord | None:
        """Return what is set for a subject."""
        return self._of_subject(name, subject, partial(self._files.record, name))

    def stamp(self, name: str, subject: str) -> FactorConfigStamp | None:
        """Return how far a subject's config is."""
        return self._of_subject(name, subject, _stamp_of)

    def stamps(self, name: str) -> dict[str, FactorConfigStamp]:
        """Return how far each config of a model is."""
        old = self._old.get(name)
        if old is not None:
            rows: Iterable[ConfigRow] = old.values()
        else:
            rows = self._from_files(name, lambda shards: list(self._files.rows(name, shards))) or ()
        found = {self._files.key_of(row.symbol): _stamp_of(row) for row in rows}
        return {key: found[key] for key in sorted(found)}

    def since(self, name: str, before: ConfigsView) -> frozenset[str] | None:
        """Return the keys of a model's subjects whose config may differ from an earlier view's."""
        assert isinstance(before, ConfigView)
        if name in before._old or name in self._old:
            return frozenset() if before._old is self._old else None
        shards = [each.get(name, NO_CONFIGS) for each in (before._shards, self._shards)]
        try:
            return self._files.changed_subjects(name, *shards)
        except ConfigGone:
            return None

    def history(self, name: str, subject: str) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a subject's config, oldest first."""
        return self._of_subject(name, subject, partial(self._files.history, name)) or ()

    def _row(self, name: str, subject: str) -> ConfigRow | None:
        return self._of_subject(name, subject, lambda row: row)

    def _of_subject(self, name: str, subject: str, read: Callable[[ConfigRow], Found]) -> Found | None:
        old = self._old.get(name)
        if old is not None:
            row = old.get(self._files.key_of(subject))
            return read(row) if row is not None else None

        def from_shards(shards: ConfigShards) -> Found | None:
            row = self._files.row(name, shards, subject)
            return read(row) if row is not None else None

        return self._from_files(name, from_shards)

    def _from_files(self, name: str, read: Callable[[ConfigShards], Found]) -> Found | None:
        """Return what ``read`` finds at this revision, None where the model has no configs.

        Should a view be held for so long that newer commits removed its files, the newest ones are read.
        """
        shards = self._shards.get(name)
        if shards is None:
            return None
        try:
            return read(shards)
        except ConfigGone as gone:
            newest = self._newest().get(name)
            if newest == shards:
                raise _missing(gone) from gone
            return read(newest) if newest is not None else None


class ConfigTransaction(ConfigView):
    """A view whose changes are kept aside until the commit writes them."""

    def __init__(self, shards: Shards, old: Rows, files: ConfigFiles, newest: Callable[[], Shards]) -> None:
        super().__init__(shards, old, files, newest)
        self._deleted: set[str] = set()
        self._records: dict[tuple[str, str], FactorConfigRecord] = {}
        self._revisions: dict[tuple[str, str], list[FactorConfigRevision]] = {}
        self._moved: dict[str, ConfigShards] = {}

    def names(self) -> tuple[str, ...]:
        """Return the models of which something was created, changes included."""
        kept = {*super().names()} - self._deleted
        return tuple(sorted(kept | {model_name for model_name, _ in self._records}))

    def record(self, name: str, subject: str) -> FactorConfigRecord | None:
        """Return what is set for a subject, changes included."""
        key = (name, self._files.key_of(subject))
        if key in self._records:
            return self._records[key]
        return None if name in self._deleted else super().record(name, subject)

    def stamp(self, name: str, subject: str) -> FactorConfigStamp | None:
        """Return how far a subject's config is, changes included."""
        record = self.record(name, subject)
        return _stamp_of(record) if record is not None else None

    def stamps(self, name: str) -> dict[str, FactorConfigStamp]:
        """Return how far each config of a model is, changes included."""
        found = {} if name in self._deleted else super().stamps(name)
        found |= {key[1]: _stamp_of(record) for key, record in self._records.items() if key[0] == name}
        return {key: found[key] for key in sorted(found)}

    def since(self, name: str, before: ConfigsView) -> frozenset[str] | None:
        """Return the keys of a model's subjects whose config may differ from an earlier view's, changes included."""
        found = super().since(name, before)
        if found is None or name in self._deleted:
            return None
        return found | {key for model_name, key in self._records if model_name == name}

    def history(self, name: str, subject: str) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a subject's config, changes included."""
        before = () if name in self._deleted else super().history(name, subject)
        return (*before, *self._revisions.get((name, self._files.key_of(subject)), ()))

    def save(self, record: FactorConfigRecord, revision: FactorConfigRevision) -> None:
        """Add or replace a record and append a revision."""
        key = (record.model_name, self._files.key_of(record.subject))
        self._records[key] = record
        self._revisions.setdefault(key, []).append(revision)

    def delete(self, name: str) -> None:
        """Remove the configs of a model."""
        self._deleted.add(name)
        for pending in (self._records, self._revisions):
            for key in [key for key in pending if key[0] == name]:
                del pending[key]

    @property
    def has_changes(self) -> bool:
        """Whether a commit would write anything, but for what is deleted."""
        return bool(self._records or self._revisions)

    def written(self) -> dict[str, ConfigShards]:
        """Write what was set into files; return where all configs are then."""
        shards = {name: known for name, known in self._shards.items() if name not in self._deleted}
        rows = {name: dict(old) for name, old in self._old.items() if name not in self._deleted}
        for (name, key), record in self._records.items():
            before = None if name in self._deleted else self._row(name, key)
            rows.setdefault(name, {})[key] = next_row(record, self._revisions[name, key], before)
        try:
            self._moved = {name: self._files.save(name, shards.get(name), changed) for name, changed in rows.items()}
        except ConfigGone as gone:
            raise _missing(gone) from gone
        return shards | self._moved

    def clean_up(self, kept: Iterable[str]) -> None:
        """Delete the files of configs that are elsewhere now, and of models that were deleted and are not ``kept``."""
        for name in self._deleted.difference(kept):
            self._files.delete(name)
        for name, shards in self._moved.items():
            self._files.discard(name, shards, self._shards.get(name))


def _missing(gone: ConfigGone) -> StoreCorrupt:
    return StoreCorrupt(f"'{gone}' is missing. {REMEDY}")


def _stamp_of(known: ConfigRow | FactorConfigRecord) -> FactorConfigStamp:
    subject = known.symbol if isinstance(known, ConfigRow) else known.subject
    return FactorConfigStamp(subject, known.revision, known.updated_at)
