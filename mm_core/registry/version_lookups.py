"""Versions by the names that callers use: those that registered roots hold, beside what is registered of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Scan
from mm_core.domain.lifecycle import Tier
from mm_core.domain.models import RegisteredModel
from mm_core.domain.version_records import Family, VersionRecord
from mm_core.domain.versions import Version
from mm_core.errors import ModelNotFound, VersionNotFound, VersionUnavailable
from mm_core.registry.deploy_checks import MISSING_FILES
from mm_core.registry.lifecycle_lookups import SHOWN, checked_version, find_family, is_seen
from mm_core.store import StoreView


@dataclass(frozen=True, slots=True)
class HeldVersion:
    """A version that a registered root holds: the registration, and its record if it has one.

    ``family`` are its name and the other names that stand for it, ``shared`` what is wrong with it beside others.
    """

    model: RegisteredModel
    version: Version
    family: Family
    record: VersionRecord | None
    shared: tuple[Finding, ...] = ()

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


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version of a list: what a root holds, what is registered, or both; ``is_alone`` in one directory alone."""

    held: HeldVersion | None
    record: VersionRecord | None
    is_alone: bool = True


def versions_of(view: StoreView, name: str, caller_tier: Tier | None = None) -> tuple[ListedVersion, ...]:
    """Return all versions that ``name`` stands for and a caller sees, the newest first.

    ``name`` is a family's or another name for one; where there is no such family, a registration's: then it is all
    versions of its root. Raises `ModelNotFound` where it is neither.
    """
    held = _held(view, name)
    family = find_family(view, name)
    if not held and family is None and view.model(name) is None:
        known = ", ".join([family.name for family in view.lifecycle.families()[:SHOWN]]) or "none yet"
        raise ModelNotFound(
            f"No registered root holds versions of '{name[:128]}', and none is registered (known: {known}). "
            "Register the root with POST /api/models, or check the name."
        )
    listed = list(_each_directory_once(held))
    if family is not None:
        here = {one.record.model_id for one in held if one.record is not None}
        records = view.lifecycle.records(family.name)
        listed += [ListedVersion(None, record) for record in records if record.model_id not in here]
    listed = [one for one in listed if is_visible(one.record, caller_tier)]
    return tuple(sorted(listed, key=_age, reverse=True))


def held_versions(view: StoreView, name: str, version: str, caller_tier: Tier | None = None) -> tuple[HeldVersion, ...]:
    """Return the directories that hold a version, each once: several where nobody can tell which one is meant.

    Raises `VersionNotFound` where there is none, or none that a caller of the tier sees.
    """
    canonical = checked_version(version)
    found: dict[str, HeldVersion] = {}
    for one in _held(view, name, canonical):
        if is_visible(one.record, caller_tier):
            found.setdefault(os.path.realpath(one.directory), one)
    if found:
        return tuple(found.values())
    family = find_family(view, name)
    record = view.lifecycle.record(family.name, canonical) if family is not None else None
    if record is not None and is_visible(record, caller_tier):
        raise VersionNotFound(
            f"Failed to load model: {record.title} is registered ({record.status}), and no registered root holds its "
            "directory. Restore it, or register its root with POST /api/models."
        )
    known = {one.version.name: None for one in _held(view, name) if is_visible(one.record, caller_tier)}
    listed = f" (there are {', '.join(list(known)[:SHOWN])})" if known else ""
    raise VersionNotFound(
        f"Model not found: no registered root holds {name[:255]} {canonical}{listed}. Check name and version, refresh "
        "the model, or register its root with POST /api/models."
    )


def is_held(view: StoreView, name: str, version: str) -> bool:
    """Return whether a registered root holds a version."""
    return bool(_held(view, name, version))


def only_held(view: StoreView, name: str, version: str, caller_tier: Tier | None = None) -> HeldVersion:
    """Return the version that is meant; raise as `held_versions`, and `VersionUnavailable` in several directories."""
    held = held_versions(view, name, version, caller_tier)
    if len(held) > 1:
        places = [str(one.directory) for one in held]
        raise VersionUnavailable(several_directories(held), places, "AMBIGUOUS_VERSION")
    return held[0]


def all_held(view: StoreView) -> Iterator[HeldVersion]:
    """Yield each version of each registered root."""
    for model in view.models():
        summary = view.scan_summary(model.name)
        if summary is not None and summary.versions:
            yield from _scanned(view, None, None, model.name)


def is_visible(record: VersionRecord | None, caller_tier: Tier | None) -> bool:
    """Return whether a caller sees a version; one that is not registered counts as what is registered without a tier.

    Without a tier, a caller sees all.
    """
    return is_seen(record, caller_tier) if record is not None else caller_tier is None or caller_tier.sees(Tier.PREMIUM)


def errors_of(held: HeldVersion) -> tuple[list[Finding], list[str]]:
    """Return what keeps a version from predicting, and which required files are missing."""
    errors = [finding for finding in held.findings if finding.severity is Severity.ERROR]
    return errors, [finding.file for finding in errors if finding.code in MISSING_FILES]


def several_directories(held: Sequence[HeldVersion]) -> str:
    """Return the sentence about a version that lies in several directories."""
    listed = " and ".join(f"'{one.directory}'" for one in held[:SHOWN])
    return f"{held[0].title} is in {listed}: nobody can tell which one is meant. Keep one of them and refresh its root."


def _each_directory_once(held: Sequence[HeldVersion]) -> Iterator[ListedVersion]:
    by_title: dict[str, list[HeldVersion]] = {}
    for one in held:
        by_title.setdefault(one.title, []).append(one)
    for several in by_title.values():
        if len(several) > 1:
            several = list({os.path.realpath(one.directory): one for one in reversed(several)}.values())
        for one in several:
            yield ListedVersion(one, one.record, len(several) == 1)


def _held(view: StoreView, name: str, version: str | None = None) -> list[HeldVersion]:
    family = find_family(view, name)
    names = {family.name, *family.aliases} if family is not None else {name}
    found = list(_scanned(view, names, version))
    if not found and family is None and view.model(name) is not None:
        found = list(_scanned(view, None, version, name))
    return found


def _scanned(
    view: StoreView, names: set[str] | None, version: str | None, registration: str | None = None
) -> Iterator[HeldVersion]:
    families: dict[str, Family] = {}
    records: dict[str, Mapping[str, VersionRecord]] = {}
    for model in view.models():
        scan = view.scan(model.name) if registration in (None, model.name) else None
        if scan is None:
            continue
        shared: dict[str, list[Finding]] | None = None
        for found in scan.versions.values():
            own = found.model_name or model.name
            if (names is not None and own not in names) or version not in (None, found.name):
                continue
            if own not in families:
                families[own] = find_family(view, own) or Family(own)
                records[own] = _records(view, families[own].name, version)
            shared = _shared(scan) if shared is None else shared
            of_others = tuple(shared.get(found.path, ()))
            yield HeldVersion(model, found, families[own], records[own].get(found.name), of_others)


def _records(view: StoreView, family: str, version: str | None) -> Mapping[str, VersionRecord]:
    if version is None:
        return {record.model_version: record for record in view.lifecycle.records(family)}
    record = view.lifecycle.record(family, version)
    return {version: record} if record is not None else {}


def _shared(scan: Scan) -> dict[str, list[Finding]]:
    """Return what versions of a scan share with others, by path."""
    found: dict[str, list[Finding]] = {}
    for one in scan.twins:
        found.setdefault(one.file if one.file in scan.versions else one.file.rpartition("/")[0], []).append(one)
    return found


def _age(listed: ListedVersion) -> tuple[str, str, tuple[int, int, int], str]:
    held, record = listed.held, listed.record
    if held is None:
        assert record is not None
        return record.created_at, record.model_name, (0, 0, 0), record.model_version
    number = held.version.number
    ranks = (number.major, number.minor, number.patch) if number is not None else (0, 0, 0)
    return held.version.created_at, held.family.name, ranks, held.version.version_id
