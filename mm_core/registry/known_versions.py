"""Every version that there is: what registered roots hold, and what people registered of it, side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from mm_core.domain.findings import Finding, Severity
from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import VersionRecord
from mm_core.domain.versions import Version
from mm_core.registry.lifecycle_lookups import damaged_registration, readable_records
from mm_core.registry.shared_models import shared_elsewhere
from mm_core.store import StoreView


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """One version of a family: its files, what is registered of it, or both; never neither.

    ``findings`` are those of its files and what it shares with others. ``registration`` is the model whose root holds
    the files, the first by name of several. ``is_latest`` says that the root's ``latest`` names it.
    """

    family: str
    name: str
    files: Version | None
    record: VersionRecord | None
    findings: tuple[Finding, ...] = ()
    registration: str | None = None
    root_path: str | None = None
    is_latest: bool = False

    @property
    def title(self) -> str:
        """The family's name and the version's."""
        return f"{self.family} {self.name}"

    @property
    def created_at(self) -> str:
        """When it was trained or published, as the files say; when it was registered where there are none."""
        if self.files is not None:
            return self.files.created_at
        assert self.record is not None
        return self.record.created_at

    @property
    def status(self) -> Status | None:
        """Where it stands; None for a version that nobody registered."""
        return self.record.status if self.record is not None else None

    @property
    def directory(self) -> str | None:
        """The directory of its files, None where no registered root holds them."""
        if self.files is None or self.root_path is None:
            return None
        return os.path.join(self.root_path, self.files.path)

    def count(self, severity: Severity) -> int:
        """Return how many findings of a severity there are."""
        return sum(finding.severity is severity for finding in self.findings)


def known_versions(view: StoreView) -> tuple[KnownVersion, ...]:
    """Return every version of every family: families by name, in each the newest first.

    A directory that several registrations reach is one; a version in two directories is there twice.
    """
    damaged = view.lifecycle.damaged()
    readable = list(readable_records(view))
    canonical = {alias: family.name for family, _ in readable for alias in family.aliases}
    records = {(family.name, record.model_version): record for family, of_one in readable for record in of_one}
    elsewhere = shared_elsewhere(view)
    found: dict[str, KnownVersion] = {}
    for model in view.models():
        scan = view.scan(model.name)
        if scan is None:
            continue
        latest = set(scan.latest.values())
        for path, version in scan.versions.items():
            place = os.path.realpath(Path(model.root_path) / path)
            if place in found:
                continue
            own = version.model_name or model.name
            family_name = canonical.get(own, own)
            if family_name in damaged:
                version = replace(
                    version, findings=(*version.findings, damaged_registration(path, damaged[family_name]))
                )
            shared = tuple(one for one in scan.twins if f"{one.file}/".startswith(f"{path}/"))
            if (model.name, path) in elsewhere:
                shared += (elsewhere[model.name, path],)
            found[place] = KnownVersion(
                family_name, version.name, version, records.get((family_name, version.name)),
                (*version.findings, *shared), model.name, model.root_path, path in latest,
            )  # fmt: skip
    with_files = {(one.family, one.name) for one in found.values()}
    alone = [KnownVersion(*key, None, record) for key, record in records.items() if key not in with_files]
    ordered = sorted((*found.values(), *alone), key=lambda one: (one.created_at, one.name), reverse=True)
    return tuple(sorted(ordered, key=lambda one: one.family))
