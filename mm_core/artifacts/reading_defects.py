"""Groups and versions that could not be read to the end: what a defect of ours, or the death of a child, costs."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path

from mm_core import strict_json
from mm_core.artifacts.layouts import GroupFiles, Listed
from mm_core.artifacts.limits import READING_RULES, ReadingLimits
from mm_core.artifacts.read_group import GroupReading, read_group
from mm_core.artifacts.read_version import read_version
from mm_core.artifacts.readers.lightgbm_txt import Progress
from mm_core.artifacts.tree import UNREADABLE
from mm_core.artifacts.version_files import VersionReading, version_of
from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, TrainingInfo
from mm_core.domain.moments import utc_now
from mm_core.spelling import visible

LOST_READER = "reader-ended"
"""The finding of what was not read to the end: the reader died, was ended, or has a defect."""

UNREAD = frozenset({LOST_READER, UNREADABLE})
"""The findings that say nothing about the content: what has one was not read, and is read again."""

Reading = GroupReading | VersionReading


def read_or_lose(root: Path, files: Listed, limits: ReadingLimits, progress: Progress | None = None) -> Reading:
    """Return a reading; one that failed unexpectedly has nothing but a finding that names the defect.

    ``progress`` is told how many bytes of a large version's model were read.

    Here alone is ``Exception`` caught whole. Readers turn what they know of into `UnreadableArtifact`; whatever else
    they raise is a defect of ours that somebody's bytes found, of a class that nobody can foresee: decoders of NumPy,
    Arrow, csv and JSON each have their own. It must not cost all others their scan, nor a server its start or its
    watcher. ``MemoryError`` is one of them: what the reading took is free again once its reader has ended.
    """
    try:
        if isinstance(files, GroupFiles):
            reading: Reading = read_group(root, files, limits)
        else:
            reading = read_version(root, files, limits, progress)
        # What cannot be written would end the scan where it is stored.
        strict_json.encode(reading.group if isinstance(reading, GroupReading) else reading)
        return reading
    except Exception as error:  # noqa: BLE001
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = visible(str(error)[:200])
        what = "group" if isinstance(files, GroupFiles) else "version"
        return lost(
            files,
            f"Reading this {what} failed unexpectedly: {type(error).__name__} in {Path(place.filename).name}, "
            f"line {place.lineno} ({said}).",
            f"Save its files again, and report the defect with this line; the other {what}s are read.",
        )


def is_unread(findings: Iterable[Finding]) -> bool:
    """Return whether files are there that could not be read, whatever they hold."""
    return any(finding.code in UNREAD for finding in findings)


def lost(files: Listed, detail: str, remedy: str) -> Reading:
    """Return a group or a version that has nothing but the finding of why it could not be read."""
    finding = Finding(Severity.ERROR, LOST_READER, files.files[0].path, detail, remedy)
    if not isinstance(files, GroupFiles):
        return VersionReading(version_of(files, (finding,)))
    symbol, _, return_name = files.group_key.partition("_")
    group = Group(
        group_key=files.group_key,
        symbol=symbol or files.group_key,
        return_name=return_name,
        files=files.files,
        factors=FactorTable(),
        ic=IcTable(),
        training=TrainingInfo(),
        model=None,
        onnx_sha256=None,
        findings=(finding,),
        read_at=utc_now(),
        rules=READING_RULES,
    )
    return GroupReading(group, None, None)
