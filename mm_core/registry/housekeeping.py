"""Whether the state is healthy, and what on disk nothing refers to any more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mm_core import strict_json
from mm_core.errors import InvalidRoot, StoreError
from mm_core.logs import get_logger
from mm_core.registry.background import BackgroundThread, come_last
from mm_core.registry.payloads import ONNX_NOTE, onnx_note
from mm_core.registry.prepared_bodies import PayloadHandle
from mm_core.registry.published import PublishedPayloads
from mm_core.registry.registration import Registrations
from mm_core.registry.roots import checked_root
from mm_core.registry.version_payloads import VersionPayloads
from mm_core.store import BlobDirectory, BlobEntry, RegistryStore, Repair

GRACE_SECONDS = 3600.0
"""Models younger than this are kept: a scan that takes long may be about to refer to them."""

PAYLOAD_GRACE_SECONDS = 600.0
"""The same for payloads, which are published as soon as they are made."""

CLEANING_SECONDS = 300.0

NO_COPIES = (
    "There is no second copy of the state yet: the next start of a server makes them all, and so does "
    "`python -m mm_core doctor --repair`."
)

log = get_logger("mm_core.cleaning")


@dataclass(frozen=True, slots=True)
class CleanupPlan:
    """Blobs that nothing refers to, and their size together."""

    orphans: tuple[tuple[BlobDirectory, BlobEntry], ...]

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for _, entry in self.orphans)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `Housekeeping.repair` did, and a sentence for each thing that it could not restore.

    ``copies_made`` counts second copies that were missing altogether, beside those in ``done``.
    """

    done: tuple[Repair, ...]
    failures: tuple[str, ...]
    copies_made: int = 0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `Housekeeping.diagnose` found, a sentence each; ``notes`` need nobody, and may be good to know."""

    store_problems: tuple[str, ...]
    root_problems: tuple[str, ...]
    orphaned_blobs: int
    orphaned_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing needs a person; orphaned blobs cost disk alone."""
        return not self.store_problems and not self.root_problems


class Housekeeping:
    """Looks after the data directory."""

    def __init__(
        self,
        store: RegistryStore,
        registrations: Registrations,
        model_blobs: BlobDirectory,
        payload_blobs: BlobDirectory,
        published: PublishedPayloads,
        version_payloads: VersionPayloads,
        allowed_roots: tuple[Path, ...] | None,
    ) -> None:
        self._published = published
        self._version_payloads = version_payloads
        self._store = store
        self._registrations = registrations
        self._models = model_blobs
        self._payloads = payload_blobs
        self._allowed_roots = allowed_roots

    def diagnose(self) -> Diagnosis:
        """Return the health of store and roots."""
        problems = self._store.problems()
        root_problems = []
        orphans: tuple[tuple[BlobDirectory, BlobEntry], ...] = ()
        if not problems:
            for model in self._store.view().models():
                try:
                    checked_root(model.root_path, self._allowed_roots)
                except InvalidRoot as error:
                    root_problems.append(f"Model '{model.name}': {error.detail}")
                if model.refresh_error is not None:
                    root_problems.append(f"Model '{model.name}' serves an older scan: {model.refresh_error}")
            orphans = self.plan_cleanup().orphans
        notes = (NO_COPIES,) if not problems and self._store.lacks_copies() else ()
        size = sum(entry.size_bytes for _, entry in orphans)
        return Diagnosis(problems, tuple(root_problems), len(orphans), size, notes)

    def plan_repairs(self) -> tuple[Repair, ...]:
        """Return which files of the state are damaged, what would be put in their places, and what is lost by that."""
        return self._store.plan_repairs()

    def repair(self, plan: tuple[Repair, ...]) -> Repaired:
        """Do what ``plan`` lists and is still so, make copies that are missing, and read groups whose scans are gone.

        What has no remedy keeps nothing else from being restored.
        """
        done = self._store.repair(plan)
        copies_made = 0
        failures: list[str] = []
        try:
            copies_made = self._store.complete_copies(again=True)
        except StoreError as error:
            failures.append(error.detail)
        try:
            failures += self._registrations.restore_missing_scans()
        except StoreError as error:
            failures.append(error.detail)
        return Repaired(done, tuple(dict.fromkeys(failures)), copies_made)

    def plan_cleanup(self, grace_seconds: float | None = None) -> CleanupPlan:
        """Return the blobs that no scan, earlier scan or payload of today refers to, but for young ones.

        ``grace_seconds`` is how old is not young, `GRACE_SECONDS` for models and `PAYLOAD_GRACE_SECONDS` for payloads
        where it is not given.
        """
        return CleanupPlan(tuple(self._orphans(grace_seconds)))

    def execute(self, plan: CleanupPlan) -> int:
        """Remove what ``plan`` lists, is still an orphan and was not made again; return how many bytes were freed."""
        planned = {entry for _, entry in plan.orphans}
        freed = 0
        for directory, entry in [orphan for orphan in self._orphans(0.0) if orphan[1] in planned]:
            if directory.remove(entry):
                freed += entry.size_bytes
        return freed

    def clear_unknown(self) -> int:
        """Delete what refused and killed writers left of models and families that the state lacks, once it is old.

        Returns the number of directories.
        """
        return self._store.clear_unknown()

    def _orphans(self, grace_seconds: float | None) -> Iterator[tuple[BlobDirectory, BlobEntry]]:
        now = time.time()
        models = self._model_digests()
        before = now - (GRACE_SECONDS if grace_seconds is None else grace_seconds)
        for entry in self._models.entries():
            if entry.modified_at < before and entry.name not in models:
                yield self._models, entry
        before = now - (PAYLOAD_GRACE_SECONDS if grace_seconds is None else grace_seconds)
        kept = self._kept_payloads(before, models)
        for entry in self._payloads.entries():
            if entry.modified_at < before and entry.name not in kept:
                yield self._payloads, entry

    def _model_digests(self) -> frozenset[str]:
        view = self._store.view()
        return frozenset[str]().union(*(view.kept_digests(model.name) for model in view.models()))

    def _kept_payloads(self, before: float, models: frozenset[str]) -> set[str]:
        """Return the names of payload blobs that are of today, made of ``models`` as ONNX, or named by a young note.

        Names alone are held, not entries: at four saves a second there are some ten thousand files of payloads that
        are too young to be removed.
        """
        kept = {onnx_note(sha256) for sha256 in models} | {handle.key for handle in self._published.handles()}
        kept.update(self._version_payloads.keys(self._store.view()))
        for entry in self._payloads.entries():
            if entry.suffix not in (".json", ONNX_NOTE) or (entry.name not in kept and entry.modified_at < before):
                continue
            if entry.suffix == ONNX_NOTE:
                made = self._payloads.get_named_digest(entry.name, ONNX_NOTE)
                kept.update(() if made is None else (made,))
                continue
            note = self._payloads.get_named(entry.name, entry.suffix)
            if note is None:
                continue
            try:
                kept.update(strict_json.decode_as(note, PayloadHandle).stored.values())
            except strict_json.NotJson:
                continue
        return kept


class Cleaner(BackgroundThread):
    """A thread that removes what nothing refers to any more, every few minutes, when nothing else is to be done."""

    def __init__(self, housekeeping: Housekeeping, every_seconds: float = CLEANING_SECONDS) -> None:
        super().__init__("cleaner", "cleaning_waits")
        self._housekeeping = housekeeping
        self._every = every_seconds

    def _turn(self) -> None:
        come_last()
        if self._stop.wait(self._every):
            return
        plan = self._housekeeping.plan_cleanup()
        freed = self._housekeeping.execute(plan) if plan.orphans else 0
        self._housekeeping.clear_unknown()
        if freed:
            log.info("cleaned", blobs=len(plan.orphans), bytes=freed)
