"""What every storage backend promises to the registry.

A *view* is the whole state at one revision: registrations, factor configs, versions with what is set of their
normalizers, and scans that belong together. A
*transaction* is a view that can also write; all its writes become visible at once, under the next revision, or not
at all. Callers may rely on these rules on every backend:

- Views are consistent and immutable: a view taken before a commit goes on showing the older state, scans included.
- A transaction starts from the newest state and excludes every other writer, in this process and in others.
- When ``transaction()`` has been left without an exception the change survives ``kill -9`` and a power cut.
- An exception inside a transaction writes nothing; so does a transaction that changed nothing: the revision stays.
- The revision grows by one with each commit that changed something.
- Taking a view costs no lock and, as long as nothing changed, no parsing; taking the stamp never parses.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mm_core.domain.configs import FactorConfigRecord, FactorConfigRevision, FactorConfigStamp
from mm_core.domain.groups import Scan, ScanSummary
from mm_core.domain.models import DeletedModel, RegisteredModel
from mm_core.domain.version_records import Family, VersionEvent, VersionRecord


@dataclass(frozen=True, slots=True)
class Repair:
    """A file that cannot be used, and what to do: ``can_be_made`` False leaves it to a backup.

    ``data`` is what takes its place, None where it only goes aside, since a scan makes it anew. ``loss`` is a sentence.
    """

    path: Path
    problem: str
    can_be_made: bool
    data: bytes | None
    loss: str


class LifecycleView(Protocol):
    """Versions of model families and what happened to them, at the revision of the view that it belongs to.

    Families are no registrations: they stay when a registration is deleted. What a read costs grows with one family.
    """

    def families(self) -> tuple[Family, ...]:
        """Return every family in the order of the names.

        A view leaves those out of which nothing can be read; a transaction raises `StoreCorrupt` for the first, since
        it may have a name that is to be given.
        """

    def damaged(self) -> Mapping[str, str]:
        """Return what is wrong with each family that cannot be read whole, events aside, by name: what, and what to do.

        Whoever reads such a family by its name gets `StoreCorrupt`.
        """

    def family(self, name: str) -> Family | None:
        """Return a family by its own name, None when there is none; other names are not looked at."""

    def record(self, name: str, version: str) -> VersionRecord | None:
        """Return the record of a version in its one spelling, None when there is none."""

    def records(self, name: str) -> tuple[VersionRecord, ...]:
        """Return a family's records in the order of their versions as text."""

    def record_by_id(self, model_id: str) -> VersionRecord | None:
        """Return the record that has an id, None when there is none; every family that can be read is looked at."""

    def changed_at(self, name: str) -> str | None:
        """Return the latest time of any event of a family without reading these; None where it is not known.

        In a transaction, what it changed itself counts for nothing.
        """

    def events(self, name: str) -> tuple[VersionEvent, ...]:
        """Return a family's events, oldest first; none is ever taken away or changed."""


class LifecycleTransaction(LifecycleView, Protocol):
    """Changes versions; what that writes does not grow with the versions, events and groups that there are."""

    def save_version(self, record: VersionRecord, event: VersionEvent) -> None:
        """Add or replace a record, its family with it, and append the event that led to it."""

    def save_family(self, family: Family, event: VersionEvent) -> None:
        """Replace a family's other names and append the event that led to them."""


class ConfigsView(Protocol):
    """Mean and variance of factors by subject, at the revision of the view that it belongs to.

    Subjects are the symbols of a registration, compared without case, or the versions of a family, which are not.
    """

    def names(self) -> tuple[str, ...]:
        """Return the models or families of which something was created, in their order."""

    def record(self, name: str, subject: str) -> FactorConfigRecord | None:
        """Return what is set for a subject, None when nothing was created yet."""

    def stamp(self, name: str, subject: str) -> FactorConfigStamp | None:
        """Return how far a subject's config is, without reading the values; None when nothing was created yet."""

    def stamps(self, name: str) -> dict[str, FactorConfigStamp]:
        """Return how far each config of a model is, by casefolded symbol or by version, in the order of these."""

    def since(self, name: str, before: ConfigsView) -> frozenset[str] | None:
        """Return the keys of `stamps` whose config may differ from an earlier view's; None where all may.

        What it costs grows with what changed. ``before`` is of a view of the same store.
        """

    def history(self, name: str, subject: str) -> tuple[FactorConfigRevision, ...]:
        """Return the revisions of a subject's config, oldest first."""


class ConfigsTransaction(ConfigsView, Protocol):
    """Changes what is set."""

    def save(self, record: FactorConfigRecord, revision: FactorConfigRevision) -> None:
        """Add or replace a record and append the revision that led to it."""


class StoreView(Protocol):
    """The state at one revision."""

    @property
    def lifecycle(self) -> LifecycleView:
        """Versions of model families at this revision."""

    @property
    def configs(self) -> ConfigsView:
        """What is set for the symbols of registrations."""

    @property
    def normalizers(self) -> ConfigsView:
        """What is set for versions, by family; it stays when a registration is deleted, as the family does."""

    @property
    def revision(self) -> int:
        """The number of commits so far; 0 for a new store."""

    def models(self) -> tuple[RegisteredModel, ...]:
        """Return all registrations in the order of their names."""

    def model(self, name: str) -> RegisteredModel | None:
        """Return one registration, None when the name is unknown."""

    def deleted_models(self) -> tuple[DeletedModel, ...]:
        """Return the last hundred registrations that were deleted, oldest first; their names may be in use again."""

    def scan(self, name: str) -> Scan | None:
        """Return a model's parsed groups and versions, None when it has none or when they were deleted from disk."""

    def scan_summary(self, name: str) -> ScanSummary | None:
        """Return the figures of a model's scan without reading its groups, None where `scan` would return None."""

    def earlier_scan(self, name: str, scan_id: str) -> Scan | None:
        """Return one of a model's ``earlier_scans``, None when it has no such scan or when it was deleted from disk."""

    def kept_digests(self, name: str) -> frozenset[str]:
        """Return the SHA-256 of every group's model JSON and ONNX file and every version's model, of all kept scans."""


class StoreTransaction(StoreView, Protocol):
    """A view that writes; what it wrote is visible in the view itself at once."""

    @property
    def lifecycle(self) -> LifecycleTransaction:
        """Versions of model families, and what changes them."""

    @property
    def configs(self) -> ConfigsTransaction:
        """What is set for symbols, and what changes it."""

    @property
    def normalizers(self) -> ConfigsTransaction:
        """What is set for versions, and what changes it."""

    def save_model(self, model: RegisteredModel) -> None:
        """Add or replace a registration."""

    def delete_model(self, name: str, at: str) -> None:
        """Remove a registration with its scan and its factor configs and their history, and remember that it was."""

    def save_scan(self, name: str, scan: Scan) -> None:
        """Replace a registered model's scan and set its ``scan_id``.

        A replaced scan that had found something else is kept among the ``earlier_scans``, the last ten of them; files
        of versions that are not read count for nothing there.

        Only the files that hold changed groups or versions are written: each counts as unchanged when key, files and
        ``read_at`` equal the stored ones.
        """


class RegistryStore(Protocol):
    """A place where state lives."""

    def view(self) -> StoreView:
        """Return the newest state; raise `StoreCorrupt` or `StoreTooNew` when it cannot be read."""

    def stamp(self) -> tuple[int, ...]:
        """Return what differs after every commit of any process, at the price of looking at one file."""

    def transaction(self) -> AbstractContextManager[StoreTransaction]:
        """Open a write transaction; raise `StoreBusy` when another writer does not finish in time."""

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the storage itself, a sentence each; empty when it is healthy."""

    def plan_repairs(self) -> tuple[Repair, ...]:
        """Return which parts of the storage are damaged, what can take their places, and what is lost by that."""

    def repair(self, plan: tuple[Repair, ...]) -> tuple[Repair, ...]:
        """Do what ``plan`` says as far as it is still so, and return that; what was damaged is set aside."""

    def complete_copies(self, *, again: bool = False) -> int:
        """Make the second copies that are missing, as of a state of an older version; return their number.

        Once they are complete, that costs nothing unless they are looked at ``again``.
        """

    def lacks_copies(self) -> bool:
        """Return whether there is a state and no second copy of it, as where these were deleted."""

    def clear_unknown(self) -> int:
        """Delete what is left of models and families that the newest state lacks, a minute after it was written.

        Commits that were refused and writers that were killed leave that. Returns the number of directories.
        """
