"""What is asked about versions: the list, one of them, its family's history, and who was deployed when."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mm_core.domain.deployments import DeployedThen, Deployment, deployed_at, deployments
from mm_core.domain.lifecycle import Stage, Status, Tier, status_for
from mm_core.domain.version_records import VersionEvent, VersionRecord, version_id
from mm_core.errors import VersionNotFound
from mm_core.registry.lifecycle_lookups import (
    AbTest,
    VersionFilter,
    ab_tests,
    is_seen,
    listed_records,
    require_deployed,
    require_family,
    require_record,
    require_whole,
)
from mm_core.registry.normalizers import normalizer_revision
from mm_core.registry.version_roots import VersionRoots, is_same_directory
from mm_core.store import RegistryStore


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is deployed of a family, since when, by whom and why, and the shadows that run beside it.

    ``normalizer_revision`` says how often people changed its normalizer.
    """

    record: VersionRecord
    deployment: Deployment
    challengers: tuple[VersionRecord, ...]
    normalizer_revision: int


class LifecycleReader:
    """What is registered of versions, and where they stand."""

    def __init__(self, store: RegistryStore, roots: VersionRoots) -> None:
        self._store = store
        self._roots = roots

    def record(self, name: str, version: str, caller_tier: Tier | None = None) -> VersionRecord:
        """Return a version's record; raise `VersionNotFound` that says whether its files are there."""
        return require_record(self._store.view(), name, version, self._roots, caller_tier)

    def record_by_id(self, model_id: str, caller_tier: Tier | None = None) -> VersionRecord:
        """Return the record that has an id; raise `VersionNotFound`."""
        view = self._store.view()
        record = view.lifecycle.record_by_id(model_id)
        if record is None:
            require_whole(view)
        if record is None or not is_seen(record, caller_tier):
            raise VersionNotFound(
                f"Model not found: no version has the id '{model_id[:80]}'. List them with GET /api/versions."
            )
        return record

    def list(self, wanted: VersionFilter) -> tuple[VersionRecord, ...]:
        """Return the records that a filter takes, the newest registration first; `damaged` names what is left out."""
        return listed_records(self._store.view(), wanted)

    def damaged(self) -> Mapping[str, str]:
        """Return what is wrong with each family that cannot be read, by name: what, where and what to do."""
        return self._store.view().lifecycle.damaged()

    def history(self, name: str, caller_tier: Tier | None = None) -> tuple[VersionEvent, ...]:
        """Return what happened to a family and the versions that a caller sees, oldest first.

        Raises `VersionNotFound` for an unknown family.
        """
        view = self._store.view()
        family = require_family(view, name)
        events = view.lifecycle.events(family.name)
        if caller_tier is None:
            return events
        hidden = {
            record.model_version for record in view.lifecycle.records(family.name) if not is_seen(record, caller_tier)
        }
        return tuple(event for event in events if event.version not in hidden)

    def deployed(self, name: str, caller_tier: Tier | None = None) -> Deployed:
        """Return what is deployed of a family and the shadows beside it; raises `VersionNotFound` where nothing is."""
        view = self._store.view()
        record = require_deployed(view, name, caller_tier)
        *_, current = deployments(view.lifecycle.events(record.model_name))
        challengers = tuple(
            other
            for other in view.lifecycle.records(record.model_name)
            if other.status is Status.SHADOW and is_seen(other, caller_tier)
        )
        revision = normalizer_revision(view, record.model_name, record.model_version)
        return Deployed(record, current, challengers, revision)

    def deployed_at(self, name: str, moment: datetime, caller_tier: Tier | None = None) -> DeployedThen | None:
        """Return what was deployed at an aware moment, since when, by whom and why; None where nothing was.

        Raises `VersionNotFound` for an unknown family, and where it was a version that the caller does not see.
        """
        found = deployed_at(self.history(name), moment)
        if found is not None and not is_seen(found.record, caller_tier):
            raise VersionNotFound(
                f"Model not found: what was deployed of '{name}' then is not there for the tier '{caller_tier}'."
            )
        return found

    def ab_tests(self, name: str | None = None) -> tuple[AbTest, ...]:
        """Return what is deployed beside at least one shadow, of one family or of all."""
        return tuple(ab_tests(self._store.view(), name))

    def reason_to_keep(self, directory: Path) -> str | None:
        """Return why no cleanup may take the directory of a version, as a sentence; None where nothing speaks for it.

        Whatever runs or is pinned stays. Where registered roots do not tell in which directory such a version is, or
        it is not where a scan saw it, as where a root was renamed since, it may be this one.
        """
        version = version_id(directory.name)
        if version is None:
            return None
        view = self._store.view()
        require_whole(view)
        for family in view.lifecycle.families():
            record = view.lifecycle.record(family.name, version)
            if record is None or not (record.status.runs or record.pinned):
                continue
            stands = f"is {record.status} ({record.status.stage})" if record.status.runs else "is pinned"
            places = self._roots.paths(view, (family.name, *family.aliases)).get(version, ())
            if not places or any(is_same_directory(directory, place) for place in places):
                return f"{record.title} {stands} in the registry."
            lost = [place for place in places if not os.path.isdir(place)]
            if lost:
                return (
                    f"{record.title} {stands} in the registry, and '{lost[0]}' is not there any more: this may be it. "
                    "Bring it back, or register the root that it is in now and delete the old registration."
                )
        return None

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Keep every change of a version out within the block: what `reason_to_keep` says there stays so.

        Raises `StoreBusy` and what else keeps a writer out; a registry in which nothing is has nothing to keep out.
        """
        if not self._store.view().revision:
            yield
            return
        with self._store.transaction():
            yield

    def status_for_stage(self, record: VersionRecord, stage: Stage) -> Status:
        """Return the status that a version has to take for a stage."""
        events = self._store.view().lifecycle.events(record.model_name)
        was_validated = any(
            event.version == record.model_version and event.after not in (None, Status.TRAINING, Status.DEPRECATED)
            for event in events
        )
        return status_for(stage, record.status, was_validated=was_validated)
