"""The files of one version directory become a `Version`: each one read, then held against the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from mm_core.artifacts.layouts import VersionFiles
from mm_core.artifacts.limits import VERSION_RULES, ReadingLimits
from mm_core.artifacts.readers.evaluation_json import read_evaluation
from mm_core.artifacts.readers.importance_csv import read_importance
from mm_core.artifacts.readers.lightgbm_txt import Progress, read_booster_text
from mm_core.artifacts.readers.normalizer_json import declared_normalizer, read_normalizer
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.training_metadata import CORRUPT, read_training_metadata, report_weights_without_file
from mm_core.artifacts.readers.version_metadata import read_version_metadata
from mm_core.artifacts.stable_file import STILL_BEING_WRITTEN, Identity, open_stable, read_stable
from mm_core.artifacts.version_checks import OF_OTHERS, VersionChecks, findings_of_others
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.moments import utc_now, utc_text
from mm_core.domain.runs import TRAINING_METADATA, RunId, RunMetadata
from mm_core.domain.versions import BoosterText, ModelContent, Version, VersionLayout, VersionMetadata
from mm_core.errors import UnreadableArtifact

Value = TypeVar("Value")

MISSING_CODES: dict[FileRole, str] = {
    FileRole.BOOSTER_TEXT: "model-file-missing",
    FileRole.NORMALIZER: "normalizer-missing",
    FileRole.METADATA: "metadata-missing",
}
"""The files without which a version cannot predict."""

OPTIONAL = frozenset({FileRole.IMPORTANCE, FileRole.EVALUATION})
"""The files of which a broken one keeps nobody from predicting."""


def read_version(root: Path, listed: VersionFiles, limits: ReadingLimits, progress: Progress | None = None) -> Version:
    """Return what the files of one version say; whatever cannot be used is a finding, never an exception.

    ``progress`` is told how many bytes of a large model were read. A version of which a file that is read is not as
    listed at the end has no booster: its files may be of two trainings.
    """
    reader = _VersionReader(root, listed, limits, progress)
    return reader.read_run() if listed.layout is VersionLayout.RUNS else reader.read()


def with_other_files(known: Version, listed: VersionFiles) -> Version | None:
    """Return a version as it was read, beside other files that are not read; None where it has to be read again."""
    if not listed.files or _that_are_read(known.files) != _that_are_read(listed.files):
        return None
    findings = tuple(finding for finding in known.findings if finding.code not in OF_OTHERS)
    if listed.layout is VersionLayout.VERSIONS:
        findings = (*findings, *findings_of_others(listed))
    return replace(known, files=listed.files, findings=findings)


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


class _VersionReader:
    def __init__(self, root: Path, listed: VersionFiles, limits: ReadingLimits, progress: Progress | None) -> None:
        self.root = root
        self.listed = listed
        self.limits = limits
        self.progress = progress
        self.by_role = {file.role: file for file in listed.files}
        self.checks = VersionChecks(listed)
        self.findings = self.checks.findings

    def read(self) -> Version:
        self.checks.missing(MISSING_CODES)
        booster, model = self._booster()
        metadata = self._use(FileRole.METADATA, read_version_metadata)
        names = metadata.feature_names if metadata is not None else ()
        normalizer = self._use(FileRole.NORMALIZER, lambda data, report: read_normalizer(data, report, names))
        repeated = declared_normalizer(metadata) if metadata is not None else None
        self.checks.repeated_normalizer(normalizer, repeated)
        table = self._use(FileRole.IMPORTANCE, read_importance) or {}
        evaluation = self._use(FileRole.EVALUATION, read_evaluation)
        importance = table or (metadata.feature_importance if metadata is not None else {})
        named = normalizer.feature_names if normalizer is not None else names
        self.checks.names(metadata)
        self.checks.kind(metadata)
        self.checks.features(booster, normalizer, metadata)
        self.checks.booster(booster, metadata)
        self.checks.importance(booster, named, table, metadata)
        self.checks.size()
        trained_at = self._training_date(metadata)
        self.checks.others()
        if self._is_torn():
            booster, model = None, None
        version = version_of(self.listed, self.findings)
        return replace(
            version,
            created_at=trained_at or version.created_at,
            model=model,
            booster=booster,
            normalizer=normalizer,
            metadata=metadata,
            evaluation=evaluation,
            importance=importance,
        )

    def read_run(self) -> Version:
        run = self._use(FileRole.TRAINING_METADATA, self._run)
        if FileRole.TRAINING_METADATA not in self.by_role:
            self.findings.append(
                Finding(
                    Severity.WARNING,
                    "metadata-missing",
                    f"{self.listed.path}/{TRAINING_METADATA}",
                    "The file is missing: the training did not end, or an older one did not write it.",
                    "Nothing to do for the models; metrics and weights of this run are not known.",
                )
            )
        self._is_torn()
        return replace(version_of(self.listed, self.findings), run=run)

    def _booster(self) -> tuple[BoosterText | None, ModelContent | None]:
        file = self.by_role.get(FileRole.BOOSTER_TEXT)
        if file is None:
            return None, None
        try:
            with open_stable(self.root, file.path, self.limits.bytes_for(file.role), identity_of(file)) as content:
                found = read_booster_text(content, self.progress)
        except UnreadableArtifact as error:
            self._refuse(file.role, FileReport(file.path), error)
            return None, None
        return found

    def _run(self, data: bytes, report: FileReport) -> RunMetadata:
        run = read_training_metadata(data, report)
        report_weights_without_file(run, self.listed.names_of(FileRole.RUN_MODEL), report)
        return run

    def _use(self, role: FileRole, reader: Callable[[bytes, FileReport], Value]) -> Value | None:
        """Read the file of ``role`` if there is one; its problems become findings."""
        file = self.by_role.get(role)
        if file is None:
            return None
        report = FileReport(file.path)
        try:
            data = read_stable(self.root, file.path, self.limits.bytes_for(role), identity_of(file))
            value = reader(data, report)
        except UnreadableArtifact as error:
            self._refuse(role, report, error)
            return None
        self.findings += report.findings()
        return value

    def _refuse(self, role: FileRole, report: FileReport, error: UnreadableArtifact) -> None:
        is_harmless = role in OPTIONAL and error.code != STILL_BEING_WRITTEN
        severity = Severity.WARNING if is_harmless or error.code == CORRUPT else Severity.ERROR
        report.add(severity, error.code, error.detail, error.remedy, error.line)
        self.findings += report.findings()

    def _training_date(self, metadata: VersionMetadata | None) -> str | None:
        text = metadata.training_date if metadata is not None else None
        if text is None:
            return None
        try:
            at = datetime.fromisoformat(text)
            return utc_text((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            self.findings.append(
                Finding(
                    Severity.WARNING,
                    "bad-training-date",
                    self.by_role[FileRole.METADATA].path,
                    f"'{text[:60]}' is no date of ISO 8601; the time of the newest file stands for it.",
                    "Write a date such as 2025-10-09T21:09:18+00:00.",
                )
            )
            return None

    def _is_torn(self) -> bool:
        """Return whether a file that was read is not as it was listed, and say which."""
        known = {finding.file for finding in self.findings if finding.code == STILL_BEING_WRITTEN}
        torn = [
            file
            for file in _that_are_read(self.listed.files)
            if file.path not in known and _identity_now(self.root / file.path) != identity_of(file)
        ]
        self.findings += map(_torn, torn)
        return bool(torn or known)


def identity_of(file: ModelFile) -> Identity:
    """Return what a file that was listed must still be when it is opened."""
    return (file.inode, file.size_bytes, file.modified_ns, file.changed_ns)


def _that_are_read(files: tuple[ModelFile, ...]) -> list[ModelFile]:
    return [file for file in files if file.role is not FileRole.OTHER]


def _torn(file: ModelFile) -> Finding:
    return Finding(
        Severity.ERROR,
        STILL_BEING_WRITTEN,
        file.path,
        "The file changed while its version was read, so the files may be of two trainings.",
        "Nothing to do if a training is writing it: the version is read again when it is quiet.",
    )


def _identity_now(path: Path) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _newest(files: Sequence[ModelFile]) -> str:
    try:
        return utc_text(max(file.modified_ns for file in files) // 10**9)
    except (ValueError, OverflowError, OSError):  # a time that no calendar has
        return utc_text(0)
