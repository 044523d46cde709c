"""The files of one version directory or run as they are read: each one once, its problems as findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mm_core.artifacts.layouts import VersionFiles
from mm_core.artifacts.limits import VERSION_RULES, ReadingLimits
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.training_metadata import CORRUPT
from mm_core.artifacts.stable_file import STILL_BEING_WRITTEN, identity_of, is_as_listed, read_stable
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.moments import utc_now, utc_text
from mm_core.domain.runs import RunId
from mm_core.domain.versions import Version, VersionLayout
from mm_core.errors import UnreadableArtifact

Value = TypeVar("Value")

OPTIONAL = frozenset({FileRole.IMPORTANCE, FileRole.EVALUATION})
"""The files of which a broken one keeps nobody from predicting."""


@dataclass(frozen=True, slots=True)
class VersionReading:
    """A version, with the JSON text of its booster where that is in a file of another form."""

    version: Version
    model_json: bytes | None = None


class VersionFilesReader:
    """Reads files of a version one after the other; ``findings`` are in the order in which they are met."""

    def __init__(self, root: Path, listed: VersionFiles, limits: ReadingLimits) -> None:
        self.root = root
        self.listed = listed
        self.limits = limits
        self.by_role = {file.role: file for file in listed.files}
        self.findings: list[Finding] = []

    def use(self, role: FileRole, reader: Callable[[bytes, FileReport], Value]) -> Value | None:
        """Read the file of ``role`` if there is one; its problems become findings."""
        file = self.by_role.get(role)
        if file is None:
            return None
        report = FileReport(file.path)
        try:
            value = reader(self.bytes_of(file), report)
        except UnreadableArtifact as error:
            self.refuse(role, report, error)
            return None
        self.findings += report.findings()
        return value

    def bytes_of(self, file: ModelFile) -> bytes:
        """Return the content of a file as it was listed; raise `UnreadableArtifact` as `read_stable`."""
        return read_stable(self.root, file.path, self.limits.bytes_for(file.role), identity_of(file))

    def refuse(self, role: FileRole, report: FileReport, error: UnreadableArtifact) -> None:
        """Make a finding of what cannot be read."""
        is_harmless = role in OPTIONAL and error.code != STILL_BEING_WRITTEN
        severity = Severity.WARNING if is_harmless or error.code == CORRUPT else Severity.ERROR
        report.add(severity, error.code, error.detail, error.remedy, error.line)
        self.findings += report.findings()

    def is_torn(self) -> bool:
        """Return whether a file that was read is not as it was listed, and say which."""
        known = {finding.file for finding in self.findings if finding.code == STILL_BEING_WRITTEN}
        torn = [
            file
            for file in that_are_read(self.listed.files)
            if file.path not in known and not is_as_listed(self.root, file)
        ]
        self.findings += map(_torn, torn)
        return bool(torn or known)


def as_torn(version: Version, file: ModelFile) -> Version:
    """Return a version of which a file changed while it was read or kept: it has no booster until it rests."""
    return replace(version, model=None, booster=None, findings=(*version.findings, _torn(file)))


def version_of(listed: VersionFiles, findings: Sequence[Finding]) -> Version:
    """Return a version of which nothing was read: a run is as old as its name says, all else as its newest file."""
    run = RunId.parse(listed.version_id) if listed.layout is VersionLayout.RUNS else None
    return Version(
        model_name=listed.model_name,
        version_id=listed.version_id,
        number=listed.number,
        layout=listed.layout,
        path=listed.path,
        files=listed.files,
        created_at=utc_text(run.at.timestamp()) if run is not None else _newest(listed.files),
        findings=tuple(findings),
        read_at=utc_now(),
        rules=VERSION_RULES,
    )


def that_are_read(files: tuple[ModelFile, ...]) -> list[ModelFile]:
    """Return the files that tell what a version is."""
    return [file for file in files if file.role is not FileRole.OTHER]


def _torn(file: ModelFile) -> Finding:
    return Finding(
        Severity.ERROR,
        STILL_BEING_WRITTEN,
        file.path,
        "The file changed while its version was read, so the files may be of two trainings.",
        "Nothing to do if a training is writing it: the version is read again when it is quiet.",
    )


def _newest(files: Sequence[ModelFile]) -> str:
    try:
        return utc_text(max(file.modified_ns for file in files) // 10**9)
    except (ValueError, OverflowError, OSError):  # a time that no calendar has
        return utc_text(0)
