"""A root becomes a `Scan`: changed groups are read, unchanged ones are taken over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mm_core.artifacts.layouts import LAYOUTS, GroupFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.reading_pool import read_groups
from mm_core.artifacts.tree import list_tree
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, Scan
from mm_core.domain.sharing import Shared, with_shared_values
from mm_core.errors import InvalidRoot

LOST_READER = "reader-ended"
"""The finding that says nothing about the content: such a group is read again at every scan."""

Keep = Callable[[bytes, str], object]
Progress = Callable[[int, int], object]


def scan_root(
    root: Path,
    previous: Scan | None = None,
    *,
    keep: Keep | None = None,
    limits: ReadingLimits | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Return all groups below ``root``; nothing is written there.

    A group of ``previous`` is taken over when path, size, times and inode of all its files are equal. ``keep(bytes,
    suffix)`` is given the JSON text (``.json``) and ONNX content (``.onnx``) of each group that was read, before the
    scan is returned. ``progress(done, total)`` counts groups that are read. Raises `InvalidRoot` when the root itself
    cannot be listed.
    """
    limits = limits or ReadingLimits()
    listed, findings = _claims(root, limits)
    before = previous.groups if previous is not None else {}
    groups: dict[str, Group | None] = {}
    changed = []
    for files in listed:
        known = before.get(files.group_key)
        if known is not None and known.files == files.files and not _was_lost(known):
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
        groups[reading.group.group_key] = with_shared_values(reading.group, shared)
        if progress is not None:
            progress(done, len(changed))
    read = {key: group for key, group in groups.items() if group is not None}
    return Scan(datetime.now(UTC).isoformat(timespec="milliseconds"), read, findings)


def has_changed(root: Path, previous: Scan | None, limits: ReadingLimits | None = None) -> bool:
    """Return whether names, sizes or times below ``root`` differ from those of ``previous``; nothing is read."""
    listed, findings = _claims(root, limits or ReadingLimits())
    if previous is None or findings != previous.findings:
        return True
    if [files.group_key for files in listed] != list(previous.groups):
        return True
    return any(previous.groups[files.group_key].files != files.files for files in listed)


def _claims(root: Path, limits: ReadingLimits) -> tuple[list[GroupFiles], tuple[Finding, ...]]:
    try:
        tree = list_tree(root, limits)
    except OSError as error:
        raise InvalidRoot(
            f"Root '{root}' cannot be listed ({error.strerror}). Check that it is a directory this service may read."
        ) from error
    groups: dict[str, GroupFiles] = {}
    findings = list(tree.findings)
    left = list(tree.files)
    for layout in LAYOUTS:
        claim = layout.claim(left)
        groups.update({files.group_key: files for files in claim.groups})
        findings += claim.findings
        left = [file for file in left if file.path not in claim.paths]
    if not groups:
        findings.append(
            Finding(
                Severity.WARNING,
                "no-groups",
                ".",
                "No file below the root has a known suffix.",
                "Register the directory that holds files such as BTCUSDT_mid_chg_1m_model.json.",
            )
        )
    return [groups[key] for key in sorted(groups)], tuple(findings)


def _was_lost(group: Group) -> bool:
    return any(finding.code == LOST_READER for finding in group.findings)
