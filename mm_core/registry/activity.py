"""What happened to the state since a moment: for people who look again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from mm_core.domain.configs import FactorConfigRevision
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel
from mm_core.domain.version_records import VersionEvent
from mm_core.domain.versions import Version
from mm_core.errors import StoreCorrupt
from mm_core.store import StoreView


@dataclass(frozen=True, slots=True)
class Event:
    """One change: ``at`` is ISO 8601 UTC, ``symbol`` None where a whole model changed, ``what`` one sentence."""

    at: str
    model_name: str
    symbol: str | None
    what: str


def events_since(view: StoreView, since: datetime) -> tuple[Event, ...]:
    """Return what was registered, deleted, scanned with another result, not refreshed, saved, or given another status.

    The newest comes first.
    """
    since -= timedelta(microseconds=since.microsecond % 1000)  # stamps of events have milliseconds
    events = [event for model in view.models() for event in _events_of(view, model, since)]
    events += [
        Event(deleted.at, deleted.name, None, "Deleted.")
        for deleted in view.deleted_models()
        if _is_since(deleted.at, since)
    ]
    events += _version_events(view, since)
    events += _normalizer_events(view, since)
    return tuple(sorted(events, key=lambda event: event.at, reverse=True))


def _version_events(view: StoreView, since: datetime) -> Iterator[Event]:
    """Yield what happened to versions; of families to which nothing did, no event is read.

    Those whose events cannot be read are left out: health and lists name them.
    """
    for family in view.lifecycle.families():
        latest = view.lifecycle.changed_at(family.name)
        if latest is not None and not _is_since(latest, since):
            continue
        with suppress(StoreCorrupt):
            for event in reversed(view.lifecycle.events(family.name)):
                if _is_since(event.at, since):
                    yield Event(event.at, family.name, None, _version_sentence(event))


def _normalizer_events(view: StoreView, since: datetime) -> Iterator[Event]:
    for name in view.normalizers.names():
        for stamp in view.normalizers.stamps(name).values():
            if _is_since(stamp.updated_at, since):
                for revision in view.normalizers.history(name, stamp.subject):
                    if _is_since(revision.at, since):
                        yield Event(revision.at, name, None, _config_sentence(f"{stamp.subject}: normalizer", revision))


def _events_of(view: StoreView, model: RegisteredModel, since: datetime) -> Iterator[Event]:
    if _is_since(model.created_at, since):
        yield Event(model.created_at, model.name, None, f"Registered from {model.root_path}.")
    if model.refresh_error is not None and _is_since(model.updated_at, since):
        yield Event(model.updated_at, model.name, None, f"Serves an older scan. {model.refresh_error}")
    newest = view.scan(model.name)
    kept = model.earlier_scans
    scanned_at = [scan.scanned_at for scan in kept] + ([newest.scanned_at] if newest is not None else [])
    scans: dict[int, Scan | None] = {len(kept): newest}
    for number in reversed(range(1, len(scanned_at))):
        if _is_since(scanned_at[number], since):  # times need not grow: clocks are set back
            for each in {number, number - 1} - scans.keys():
                scans[each] = view.earlier_scan(model.name, kept[each].scan_id)
            before, after = scans[number - 1], scans[number]
            if before is not None and after is not None:
                yield Event(after.scanned_at, model.name, None, _scan_sentence(before, after))
    for stamp in view.configs.stamps(model.name).values():
        if _is_since(stamp.updated_at, since):
            for revision in view.configs.history(model.name, stamp.subject):
                if revision.action != "create" and _is_since(revision.at, since):
                    yield Event(revision.at, model.name, stamp.subject, _config_sentence("Factor config", revision))


def _scan_sentence(before: Scan, after: Scan) -> str:
    """Return which groups and versions came, went and changed between two scans of a model."""
    told = [*_came_and_went("Groups", before.groups, after.groups)]
    told += _came_and_went("Versions", before.versions, after.versions)
    if dict(before.latest) != dict(after.latest):
        told.append(f"Latest: {', '.join(after.latest.values()) or 'none'}.")
    return " ".join(told) or "The same groups and versions, other findings."


def _came_and_went(
    what: str, before: Mapping[str, Group | Version], after: Mapping[str, Group | Version]
) -> Iterator[str]:
    new = [key for key in after if key not in before]
    gone = [key for key in before if key not in after]
    changed = [key for key, entry in after.items() if key in before and _is_changed(before[key], entry)]
    parts = [
        f"{len(keys)} {word} ({', '.join(keys[:3])}{', …' if len(keys) > 3 else ''})"
        for keys, word in ((new, "new"), (changed, "changed"), (gone, "gone"))
        if keys
    ]
    if parts:
        yield f"{what}: {'; '.join(parts)}."


def _is_changed(before: Group | Version, after: Group | Version) -> bool:
    """Return whether it has other files; those of a version that nobody reads count for nothing."""
    if before is after or before.files == after.files:
        return False
    return isinstance(after, Group) or before.read_at != after.read_at


def _config_sentence(what: str, revision: FactorConfigRevision) -> str:
    parts = [f"{len(revision.changes)} factors"] if revision.changes else []
    parts += [f"{len(revision.added)} new"] if revision.added else []
    parts += [f"{len(revision.dropped)} gone"] if revision.dropped else []
    note = f", “{revision.note}”" if revision.note else ""
    return f"{what} revision {revision.number} by {revision.by} ({revision.action}: {', '.join(parts)}{note})."


def _version_sentence(event: VersionEvent) -> str:
    if event.before is None and event.after is not None:
        what = f"{event.version} registered as {event.after}"
    elif event.after is not None:
        what = f"{event.version}: {event.before} → {event.after}"
    elif event.version:
        what = f"{event.version}: other {', '.join(event.changes)}"
    else:
        what = f"Other names: {event.changes['aliases'].after or 'none'}"
    note = f" (“{event.note}”)" if event.note else ""
    return f"{what} by {event.actor}{note}."


def _is_since(stamp: str, since: datetime) -> bool:
    return datetime.fromisoformat(stamp) >= since
