"""Whether the state is healthy, and what on disk nothing refers to any more."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from mm_core import strict_json
from mm_core.errors import InvalidRoot
from mm_core.registry.payloads import PayloadHandle
from mm_core.registry.published import PublishedPayloads
from mm_core.registry.registration import Registrations
from mm_core.registry.roots import checked_root
from mm_core.store import BlobDirectory, BlobEntry, RegistryStore, Repair

GRACE_SECONDS = 3600.0
"""Blobs younger than this are kept: another process may be about to refer to them."""


@dataclass(frozen=True, slots=True)
class CleanupPlan:
    """Blobs that nothing refers to, and their size together."""

    orphans: tuple[tuple[BlobDirectory, BlobEntry], ...]

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for _, entry in self.orphans)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `Housekeeping.diagnose` found, a sentence each."""

    store_problems: tuple[str, ...]
    root_problems: tuple[str, ...]
    orphaned_blobs: int
    orphaned_bytes: int

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
        allowed_roots: tuple[Path, ...] | None,
    ) -> None:
        self._published = published
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
        return Diagnosis(problems, tuple(root_problems), len(orphans), sum(entry.size_bytes for _, entry in orphans))

    def plan_repairs(self) -> tuple[Repair, ...]:
        """Return which files of the state are damaged, what would be put in their places, and what is lost by that."""
        return self._store.plan_repairs()

    def repair(self, plan: tuple[Repair, ...]) -> tuple[Repair, ...]:
        """Do what ``plan`` lists and is still so, read groups whose scans are gone, and return what was done."""
        done = self._store.repair(plan)
        if all(repair.can_be_made for repair in plan):
            self._store.complete_copies(again=True)
            self._registrations.restore_missing_scans()
        return done

    def plan_cleanup(self, grace_seconds: float = GRACE_SECONDS) -> CleanupPlan:
        """Return the blobs that no scan and no kept payload refers to, older than ``grace_seconds``."""
        before = time.time() - grace_seconds
        wanted = self._model_digests()
        orphans = [
            (self._models, entry)
            for entry in self._models.entries()
            if entry.modified_at < before and entry.name not in wanted
        ]
        orphans += [(self._payloads, entry) for entry in self._stale_payloads(before)]
        return CleanupPlan(tuple(orphans))

    def execute(self, plan: CleanupPlan) -> int:
        """Remove what ``plan`` lists and is still an orphan; return how many bytes were freed."""
        still = {entry.path for _, entry in self.plan_cleanup(0.0).orphans}
        freed = 0
        for directory, entry in plan.orphans:
            if entry.path in still:
                directory.remove(entry)
                freed += entry.size_bytes
        return freed

    def _model_digests(self) -> set[str]:
        view = self._store.view()
        wanted: set[str] = set()
        for model in view.models():
            scan = view.scan(model.name)
            for group in scan.groups.values() if scan is not None else ():
                wanted |= {group.model.sha256} if group.model is not None else set()
                wanted |= {group.onnx_sha256} if group.onnx_sha256 is not None else set()
        return wanted

    def _stale_payloads(self, before: float) -> list[BlobEntry]:
        """Return payload blobs that are not published and of which no part was used since ``before``."""
        entries = list(self._payloads.entries())
        fresh = {entry.name for entry in entries if entry.modified_at >= before}
        fresh |= {handle.key for handle in self._published.handles()}
        for entry in entries:
            if entry.suffix == ".json" and entry.name in fresh:
                note = self._payloads.get_named(entry.name, ".json")
                try:
                    handle = strict_json.decode_as(note or b"", PayloadHandle)
                except strict_json.NotJson:
                    continue
                fresh |= set(handle.stored.values())
        return [entry for entry in entries if entry.name not in fresh]
