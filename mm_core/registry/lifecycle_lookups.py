"""Families and versions that callers name, resolved against one view of the store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from mm_core.domain.findings import Finding, Severity
from mm_core.domain.lifecycle import ModelType, Objective, Status, Tier
from mm_core.domain.version_records import FAMILY_NAME, Family, VersionRecord, version_id
from mm_core.domain.versions import VersionNumber
from mm_core.errors import BadRequest, StoreCorrupt, VersionNotFound
from mm_core.registry.version_roots import VersionRoots
from mm_core.store import StoreView

SHOWN = 10
"""Versions that a sentence names at the most."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class VersionFilter:
    """Which versions a list has: every condition that is given; ``tier`` is what they require.

    ``caller_tier`` hides what such a caller may not see, ``model_name`` may be any name of a family.
    """

    model_name: str | None = None
    status: Status | None = None
    model_type: ModelType | None = None
    objective: Objective | None = None
    tier: Tier | None = None
    caller_tier: Tier | None = None
    limit: int | None = None

    def takes(self, record: VersionRecord) -> bool:
        """Return whether a record fulfils every condition; its name and the limit are not looked at."""
        return (
            self.status in (None, record.status)
            and self.model_type in (None, record.model_type)
            and self.objective in (None, record.objective)
            and self.tier in (None, record.tier_requirement)
            and is_seen(record, self.caller_tier)
        )


@dataclass(frozen=True, slots=True)
class AbTest:
    """What is deployed of a family, and the shadows that run beside it, at least one."""

    champion: VersionRecord
    challengers: tuple[VersionRecord, ...]


def is_seen(record: VersionRecord, caller_tier: Tier | None) -> bool:
    """Return whether a caller of a tier sees a record; one without a tier sees all."""
    return caller_tier is None or caller_tier.sees(record.tier_requirement)


def find_family(view: StoreView, name: str) -> Family | None:
    """Return the family of a name or of another name for it, None where there is none."""
    family = view.lifecycle.family(name)
    if family is not None:
        return family
    return next((family for family in view.lifecycle.families() if name in family.aliases), None)


def require_whole(view: StoreView) -> None:
    """Raise `StoreCorrupt` where a family cannot be read: what is not found may be there."""
    damaged = view.lifecycle.damaged()
    if damaged:
        raise StoreCorrupt(f"The versions of {', '.join(list(damaged)[:SHOWN])} cannot be read. {_first(damaged)}")


def readable_records(view: StoreView) -> Iterator[tuple[Family, tuple[VersionRecord, ...]]]:
    """Yield each family with its records, but for those that cannot be read, which `damaged` names."""
    for family in view.lifecycle.families():
        try:
            records = view.lifecycle.records(family.name)
        except StoreCorrupt:
            continue
        yield family, records


def damaged_registration(path: str, detail: str) -> Finding:
    """Return the finding of a version of which nobody can tell what is registered."""
    remedy = "Until then nobody is given it: it may be another one that is deployed."
    return Finding(Severity.ERROR, "registration-damaged", path, detail, remedy)


def _first(damaged: Mapping[str, str]) -> str:
    return next(iter(damaged.values()))


def require_family(view: StoreView, name: str) -> Family:
    """Return the family of a name; raise `VersionNotFound`, `StoreCorrupt` where a damaged one may have that name."""
    family = find_family(view, name)
    if family is None:
        require_whole(view)
        known = ", ".join(family.name for family in view.lifecycle.families()[:SHOWN]) or "none yet"
        raise VersionNotFound(
            f"Model not found: no version of '{name[:255]}' is registered (known: {known}). "
            f"Register one with `python -m mm_core lifecycle register`, or POST /api/versions."
        )
    return family


def names_of(view: StoreView, name: str) -> tuple[str, ...]:
    """Return a family's name and its other names; ``name`` alone where there is no such family."""
    family = find_family(view, name)
    return (family.name, *family.aliases) if family is not None else (name,)


def checked_version(text: str) -> str:
    """Return the one spelling of a version; raise `VersionNotFound` for what names none."""
    version = version_id(text)
    if version is None:
        raise VersionNotFound(
            f"Model not found: {text[:80]!r} names no version. Use v1.1.0, or the time of a run, 20250724_150837."
        )
    return version


def require_record(
    view: StoreView, name: str, version: str, roots: VersionRoots, caller_tier: Tier | None = None
) -> VersionRecord:
    """Return the record of a version; raise `VersionNotFound` that says whether its directory is there."""
    canonical = checked_version(version)
    family = find_family(view, name)
    record = view.lifecycle.record(family.name, canonical) if family is not None else None
    if record is not None and is_seen(record, caller_tier):
        return record
    if record is not None:
        raise VersionNotFound(
            f"Model not found: {name} {canonical} is not there for the tier '{caller_tier}'. "
            "List what is: GET /api/versions?caller_tier=."
        )
    if family is None:
        require_whole(view)
    known = [record.model_version for record in view.lifecycle.records(family.name)] if family is not None else []
    listed = f" (registered: {', '.join(known[:SHOWN])})" if known else ""
    paths = roots.paths(view, names_of(view, name)).get(canonical, ()) if FAMILY_NAME.fullmatch(name) else ()
    listed_paths = " and ".join(f"'{path}'" for path in paths[:SHOWN])
    if len(paths) > 1:
        where = f"It is in {listed_paths}: keep one of them and refresh its root. Then"
    elif paths:
        where = f"Its directory exists, {listed_paths}:"
    else:
        where = "No registered root holds its directory; once it is there:"
    raise VersionNotFound(
        f"Model not found: {name[:255]} {canonical} is not registered{listed}. {where} register it with "
        f"`python -m mm_core lifecycle register {name[:255]} {canonical}`, or POST /api/versions."
    )


def require_deployed(view: StoreView, name: str, caller_tier: Tier | None = None) -> VersionRecord:
    """Return what is deployed of a family; raise `VersionNotFound` that says what the others are."""
    family = require_family(view, name)
    records = [record for record in view.lifecycle.records(family.name) if is_seen(record, caller_tier)]
    for record in records:
        if record.status is Status.DEPLOYED:
            return record
    listed = ", ".join(f"{record.model_version} is {record.status}" for record in records[:SHOWN])
    raise VersionNotFound(
        f"Model not found: no version of {family.name} is deployed ({listed or 'there is none for this tier'}). "
        f"Deploy one with `python -m mm_core lifecycle deploy {family.name} VERSION`."
    )


def listed_records(view: StoreView, wanted: VersionFilter) -> tuple[VersionRecord, ...]:
    """Return the records that a filter takes, the newest registration first."""
    if wanted.model_name is None:
        found = [record for _, records in readable_records(view) for record in records if wanted.takes(record)]
    else:
        named = find_family(view, wanted.model_name)
        records = view.lifecycle.records(named.name) if named is not None else ()
        found = [record for record in records if wanted.takes(record)]
    found.sort(key=lambda record: (record.model_name, record.model_version))
    found.sort(key=lambda record: record.created_at, reverse=True)
    return tuple(found[: wanted.limit])


def ab_tests(view: StoreView, name: str | None = None) -> Iterator[AbTest]:
    """Yield what is deployed beside at least one shadow, of one family or of all."""
    if name is None:
        of_families = [records for _, records in readable_records(view)]
    else:
        of_families = [view.lifecycle.records(require_family(view, name).name)]
    for records in of_families:
        challengers = tuple(record for record in records if record.status is Status.SHADOW)
        for champion in records:
            if champion.status is Status.DEPLOYED and challengers:
                yield AbTest(champion, challengers)


def parse_moment(text: str) -> datetime:
    """Return the moment that a time with its offset names; raise `BadRequest` for anything else.

    A time without an offset could be two moments, so it is none.
    """
    try:
        if _MOMENT.fullmatch(text) is None:
            raise ValueError(text)
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(
            f"{text[:80]!r} is no moment. Give date and time with an offset, such as 2026-04-03T14:30:00Z (in an "
            "address, '+' is written %2B)."
        ) from error


def next_free_version(view: StoreView, record: VersionRecord) -> str | None:
    """Return the next patch of a version that is not registered yet; None for a timestamped run."""
    number = VersionNumber.parse(record.model_version)
    if number is None:
        return None
    taken = {known.model_version for known in view.lifecycle.records(record.model_name)}
    patch = number.patch + 1
    while f"v{number.major}.{number.minor}.{patch}" in taken:
        patch += 1
    return f"v{number.major}.{number.minor}.{patch}"
