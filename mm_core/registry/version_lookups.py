"""Versions that registered roots hold, each beside what is registered of it, by the names that callers use."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Scan
from mm_core.domain.lifecycle import Tier
from mm_core.domain.models import RegisteredModel
from mm_core.domain.version_records import Family, VersionRecord
from mm_core.domain.versions import Version
from mm_core.errors import VersionNotFound
from mm_core.registry.lifecycle_lookups import (
    SHOWN,
    checked_version,
    damaged_registration,
    find_family,
    is_seen,
    require_whole,
)
from mm_core.registry.lookups import check_all_scans
from mm_core.registry.shared_models import shared_elsewhere
from mm_core.registry.version_refusals import ambiguous_version, directory_gone
from mm_core.registry.version_roots import expected_directories, versions_below
from mm_core.store import StoreView


@dataclass(frozen=True, slots=True)
class HeldVersion:
    """A version that a registered root holds: the registration, and its record if it has one.

    ``family`` are its name and the other names that stand for it, ``shared`` what is wrong with it beside others, and
    ``is_latest`` tells that the root's ``latest`` names it. ``is_known`` is False where nobody can read what is
    registered of its family.
    """

    model: RegisteredModel
    version: Version
    family: Family
    record: VersionRecord | None
    shared: tuple[Finding, ...] = ()
    is_latest: bool = False
    is_known: bool = True

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return Path(self.model.root_path) / self.version.path

    @property
    def title(self) -> str:
        """Name and version, as sentences have them."""
        return f"{self.family.name} {self.version.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which it can be asked for, the family's first."""
        own = self.version.model_name or self.model.name
        return tuple(dict.fromkeys((self.family.name, own, *self.family.aliases, self.model.name)))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with its files, and what it shares with other versions of its root."""
        return (*self.version.findings, *self.shared)

    @property
    def can_predict(self) -> bool:
        """Whether everything is there that a prediction needs, and is nobody else's."""
        return self.version.model is not None and all(one.severity is not Severity.ERROR for one in self.findings)


def held_versions(view: StoreView, name: str, version: str, caller_tier: Tier | None = None) -> tuple[HeldVersion, ...]:
    """Return the directories that hold a version, each once: several where nobody can tell which one is meant.

    Raises `VersionNotFound` where there is none, or none that a caller of the tier sees, `CannotPredict` where it is
    registered and its directory is gone, and `ScanMissing` where nobody knows just now what a root holds.
    """
    canonical = checked_version(version)
    found: dict[str, HeldVersion] = {}
    for one in held_of(view, name, canonical):
        if is_visible(one.record, caller_tier):
            found.setdefault(os.path.realpath(one.directory), one)
    if found:
        return tuple(found.values())
    check_all_scans(view)
    family = find_family(view, name)
    if family is None:
        require_whole(view)
    record = view.lifecycle.record(family.name, canonical) if family is not None else None
    if family is not None and record is not None and is_visible(record, caller_tier):
        names = (family.name, *family.aliases)
        raise directory_gone(
            f"{record.title} is registered ({record.status}), and no registered root holds its directory",
            canonical,
            expected_directories(view, names, canonical),
            "Restore it, or register its root with POST /api/models.",
        )
    known = {one.version.name: None for one in held_of(view, name) if is_visible(one.record, caller_tier)}
    listed = f" (there are {', '.join(list(known)[:SHOWN])})" if known else ""
    raise VersionNotFound(
        f"Model not found: no registered root holds {name[:255]} {canonical}{listed}. Check name and version, refresh "
        "the model, or register its root with POST /api/models."
    )


def require_known(view: StoreView, held: HeldVersion) -> None:
    """Raise `StoreCorrupt` for a version of which nobody can read what is registered: the damage is ours, not its."""
    if not held.is_known:
        require_whole(view)


def is_held(view: StoreView, name: str, version: str) -> bool:
    """Return whether a registered root holds a version."""
    return bool(held_of(view, name, version))


def only_held(view: StoreView, name: str, version: str, caller_tier: Tier | None = None) -> HeldVersion:
    """Return the version that is meant; raise as `held_versions`, and `AmbiguousVersion` in several directories."""
    held = held_versions(view, name, version, caller_tier)
    if len(held) > 1:
        places = [one.directory for one in held]
        raise ambiguous_version(held[0].title, places, "Keep one of them and refresh its root.")
    return held[0]


def with_shared_models(view: StoreView, held: Iterable[HeldVersion]) -> list[HeldVersion]:
    """Return the same versions, each with what it shares with versions below other roots."""
    elsewhere = shared_elsewhere(view)
    findings = [(one, elsewhere.get((one.model.name, one.version.path))) for one in held]
    return [one if found is None else replace(one, shared=(*one.shared, found)) for one, found in findings]


def all_held(view: StoreView) -> Iterator[HeldVersion]:
    """Yield each version of each registered root, in the order of the registrations' names."""
    summaries = {model.name: view.scan_summary(model.name) for model in view.models()}
    return _joined(view, registrations={name for name, found in summaries.items() if found and found.versions})


def is_visible(record: VersionRecord | None, caller_tier: Tier | None) -> bool:
    """Return whether a caller sees a version; one that is not registered counts as what is registered without a tier.

    Without a tier, a caller sees all.
    """
    return is_seen(record, caller_tier) if record is not None else caller_tier is None or caller_tier.sees(Tier.PREMIUM)


def held_of(view: StoreView, name: str, version: str | None = None) -> list[HeldVersion]:
    """Return each version that ``name`` stands for, as often as registrations reach it; ``version`` leaves out others.

    ``name`` is a family's or another name for one; where there is no such family, a registration's: then it is all
    versions of its root.
    """
    family = find_family(view, name)
    names = {family.name, *family.aliases} if family is not None else {name}
    found = list(_joined(view, names, version=version))
    if not found and family is None and view.model(name) is not None:
        found = list(_joined(view, registrations={name}, version=version))
    return found


def _joined(
    view: StoreView,
    names: Collection[str] | None = None,
    registrations: Collection[str] | None = None,
    version: str | None = None,
) -> Iterator[HeldVersion]:
    """Yield what roots hold beside what is registered of it; each family is looked up once.

    Where ``names`` ask for a family that is damaged, `StoreCorrupt` is raised; among all, its versions have a finding.
    """
    families: dict[str, Family] = {}
    damaged: Mapping[str, str] = {}
    if names is None:
        damaged = view.lifecycle.damaged()
        families = {called: family for family in view.lifecycle.families() for called in (family.name, *family.aliases)}
    records: dict[str, Mapping[str, VersionRecord]] = {}
    latest: Collection[str] = ()
    last: Scan | None = None
    for model, scan, found in versions_below(view, names, registrations):
        if version not in (None, found.name):
            continue
        if scan is not last:
            last, latest = scan, set(scan.latest.values())
        own = found.model_name or model.name
        family = families.get(own)
        if family is None:
            family = families[own] = (find_family(view, own) if names is not None else None) or Family(own)
        shared, trouble = scan.twins_by_path.get(found.path, ()), damaged.get(family.name)
        if trouble is not None:
            shared, records[family.name] = (*shared, damaged_registration(found.path, trouble)), {}
        elif family.name not in records:
            records[family.name] = _records(view, family.name, version)
        record = records[family.name].get(found.name)
        yield HeldVersion(model, found, family, record, shared, found.path in latest, trouble is None)


def _records(view: StoreView, family: str, version: str | None) -> Mapping[str, VersionRecord]:
    if version is None:
        return {record.model_version: record for record in view.lifecycle.records(family)}
    record = view.lifecycle.record(family, version)
    return {version: record} if record is not None else {}
