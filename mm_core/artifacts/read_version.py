"""The files of one version directory become a `Version`: each one read, then held against the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mm_core.artifacts.layouts import VersionFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_run import RunReader
from mm_core.artifacts.readers.evaluation_json import read_evaluation
from mm_core.artifacts.readers.importance_csv import read_importance
from mm_core.artifacts.readers.lightgbm_txt import Progress, read_booster_text
from mm_core.artifacts.readers.normalizer_json import declared_normalizer, read_normalizer
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.version_metadata import read_version_metadata
from mm_core.artifacts.stable_file import identity_of, open_stable
from mm_core.artifacts.version_checks import OF_OTHERS, VersionChecks, findings_of_others
from mm_core.artifacts.version_files import VersionFilesReader, VersionReading, that_are_read, version_of
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.moments import utc_text
from mm_core.domain.versions import BoosterText, ModelContent, Version, VersionLayout, VersionMetadata
from mm_core.errors import UnreadableArtifact

MISSING_CODES: dict[FileRole, str] = {
    FileRole.BOOSTER_TEXT: "model-file-missing",
    FileRole.NORMALIZER: "normalizer-missing",
    FileRole.METADATA: "metadata-missing",
}
"""The files without which a version cannot predict."""


def read_version(
    root: Path, listed: VersionFiles, limits: ReadingLimits, progress: Progress | None = None
) -> VersionReading:
    """Return what the files of one version say; whatever cannot be used is a finding, never an exception.

    ``progress`` is told how many bytes of a large model were read. A version of which a file that is read is not as
    listed at the end has no booster: its files may be of two trainings.
    """
    if listed.layout is VersionLayout.RUNS:
        return RunReader(root, listed, limits).read()
    return VersionReading(_VersionReader(root, listed, limits, progress).read())


def with_other_files(known: Version, listed: VersionFiles) -> Version | None:
    """Return a version as it was read, beside other files that are not read; None where it has to be read again."""
    if not listed.files or that_are_read(known.files) != that_are_read(listed.files):
        return None
    findings = tuple(finding for finding in known.findings if finding.code not in OF_OTHERS)
    if listed.layout is VersionLayout.VERSIONS:
        findings = (*findings, *findings_of_others(listed))
    return replace(known, files=listed.files, findings=findings)


class _VersionReader(VersionFilesReader):
    def __init__(self, root: Path, listed: VersionFiles, limits: ReadingLimits, progress: Progress | None) -> None:
        super().__init__(root, listed, limits)
        self.progress = progress
        self.checks = VersionChecks(listed)
        self.findings = self.checks.findings

    def read(self) -> Version:
        self.checks.missing(MISSING_CODES)
        booster, model = self._booster()
        metadata = self.use(FileRole.METADATA, read_version_metadata)
        names = metadata.feature_names if metadata is not None else ()
        normalizer = self.use(FileRole.NORMALIZER, lambda data, report: read_normalizer(data, report, names))
        repeated = declared_normalizer(metadata) if metadata is not None else None
        self.checks.repeated_normalizer(normalizer, repeated)
        table = self.use(FileRole.IMPORTANCE, read_importance) or {}
        evaluation = self.use(FileRole.EVALUATION, read_evaluation)
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
        if self.is_torn():
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

    def _booster(self) -> tuple[BoosterText | None, ModelContent | None]:
        file = self.by_role.get(FileRole.BOOSTER_TEXT)
        if file is None:
            return None, None
        try:
            with open_stable(self.root, file.path, self.limits.bytes_for(file.role), identity_of(file)) as content:
                found = read_booster_text(content, self.progress)
        except UnreadableArtifact as error:
            self.refuse(file.role, FileReport(file.path), error)
            return None, None
        return found

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
