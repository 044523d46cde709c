"""A root becomes a `Scan`: changed groups are read, unchanged ones are taken over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mm_core.artifacts.limits import READING_RULES, ReadingLimits
from mm_core.artifacts.listing import Listing, list_groups
from mm_core.artifacts.read_group import is_torn
from mm_core.artifacts.reading_defects import LOST_READER
from mm_core.artifacts.reading_pool import read_groups
from mm_core.artifacts.stable_file import STILL_BEING_WRITTEN
from mm_core.artifacts.tree import UNREADABLE
from mm_core.domain.groups import Group, Scan
from mm_core.domain.moments import utc_now
from mm_core.domain.sharing import Shared, with_shared_values

Keep = Callable[[bytes, str], object]
Progress = Callable[[int, int], object]


def scan_root(
    root: Path,
    previous: Scan | None = None,
    listing: Listing | None = None,
    *,
    keep: Keep | None = None,
    limits: ReadingLimits | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Return all groups below ``root``; nothing is written there.

    ``listing`` is what is there, where the caller knows. A group of ``previous`` is taken over when it was read by the
    same rules and path, size, times and inode of all its files are equal, when somebody wrote them while they were
    read, and when they cannot be read just now; by whatever rules, when they cannot be listed just now.
    ``keep(bytes, suffix)`` is given the JSON text (``.json``) and ONNX content (``.onnx``) of each group that was read,
    before the scan is returned. ``progress(done, total)``
    counts groups that are read. Raises `InvalidRoot` when the root itself cannot be listed.
    """
    limits = limits or ReadingLimits()
    listing = listing or list_groups(root, limits)
    before = previous.groups if previous is not None else {}
    groups: dict[str, Group | None] = {}
    changed = []
    hidden = listing.hidden_of(previous) if previous is not None else frozenset()
    groups.update((key, before[key]) for key in hidden)
    for files in listing.groups:
        known = before.get(files.group_key)
        if files.group_key in hidden:
            continue
        if known is not None and known.files == files.files and _is_read(known):
            groups[files.group_key] = known
        else:
            groups[files.group_key] = None  # holds the place in the order of keys
            changed.append(files)
    shared: Shared = {}
    for done, reading in enumerate(read_groups(root, changed, limits), 1):
        if keep is not None:
            if reading.model_json is not None:
                keep(reading.model_json, ".json")
            if reading.onnx is not None:
                keep(reading.onnx, ".onnx")
        known = before.get(reading.group.group_key)
        groups[reading.group.group_key] = _in_service(known, with_shared_values(reading.group, shared))
        if progress is not None:
            progress(done, len(changed))
    read = {key: group for key in sorted(groups) if (group := groups[key]) is not None}
    return Scan(utc_now(), read, listing.findings)


def _is_read(group: Group) -> bool:
    """Return whether a group says what its files say: it was read by today's rules, and nothing came between."""
    hindered = any(finding.code in (LOST_READER, UNREADABLE) for finding in group.findings)
    return group.rules == READING_RULES and not hindered and not is_torn(group.findings)


def _in_service(known: Group | None, read: Group) -> Group:
    """Return what is in service after a group was read: what was before, where its files could not be read whole.

    What older rules took is never kept: they may have taken what crashes a bot. The group has no model until its files
    can be read by today's.
    """
    if known is None or not (is_torn(read.findings) or (known.payload_ready and _is_unread(read))):
        return read
    if known.rules != READING_RULES:
        return _out_of_service(read)
    return known if is_torn(read.findings) else _still_serving(known, read)


def _out_of_service(read: Group) -> Group:
    reasons = tuple(
        replace(
            finding,
            remedy=f"{finding.remedy} Until then the group has no model: it was read by rules that no longer hold.",
        )
        if finding.code in (STILL_BEING_WRITTEN, UNREADABLE)
        else finding
        for finding in read.findings
    )
    return replace(read, model=None, onnx_sha256=None, findings=reasons)


def _is_unread(group: Group) -> bool:
    """Return whether a file of a group is there and could not be read: that says nothing about its content."""
    return any(finding.code == UNREADABLE for finding in group.findings)


def _still_serving(known: Group, unread: Group) -> Group:
    """Return what was read of a group before, with what keeps its files from being read now."""
    reasons = tuple(
        replace(finding, remedy=f"{finding.remedy} What was read at {known.read_at} stays in service.")
        for finding in unread.findings
        if finding.code == UNREADABLE
    )
    earlier = tuple(finding for finding in known.findings if finding.code != UNREADABLE)
    return replace(known, files=unread.files, findings=(*reasons, *earlier))
