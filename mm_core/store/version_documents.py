"""Versions as store documents and back."""

from __future__ import annotations

from itertools import starmap

from mm_core import strict_json
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.runs import RunMetadata
from mm_core.domain.sharing import Shared, version_with_shared_values
from mm_core.domain.versions import (
    BoosterText,
    Evaluation,
    ModelContent,
    Normalizer,
    Version,
    VersionLayout,
    VersionMetadata,
)
from mm_core.store.documents import Document, file_row, finding_document


def version_document(version: Version) -> Document:
    """Return a version as a document."""
    return {
        "path": version.path,
        "model_name": version.model_name,
        "version_id": version.version_id,
        "layout": str(version.layout),
        "files": [file_row(file) for file in version.files],
        "created_at": version.created_at,
        "findings": [finding_document(finding) for finding in version.findings],
        "read_at": version.read_at,
        "rules": version.rules,
        "importance": version.importance,
        **{name: strict_json.plain(getattr(version, name)) for name in _PARTS},
    }


class VersionRow(strict_json.Record):
    """What `version_document` wrote; a thousand versions of a root are decoded by these types at once."""

    path: str
    model_name: str
    version_id: str
    layout: VersionLayout
    files: list[tuple[FileRole, str, int, int, int, int]]
    created_at: str
    findings: list[tuple[Severity, str, str, str, str, int | None]]
    read_at: str
    rules: int
    importance: dict[str, float]
    model: ModelContent | None
    booster: BoosterText | None
    normalizer: Normalizer | None
    metadata: VersionMetadata | None
    evaluation: Evaluation | None
    run: RunMetadata | None


def version_value(row: VersionRow, shared: Shared) -> Version:
    """Return the version of a row; names of features are shared with those that were given the same ``shared``."""
    version = Version(
        model_name=row.model_name,
        version_id=row.version_id,
        number=row.layout.number_in(row.version_id),
        layout=row.layout,
        path=row.path,
        files=tuple(starmap(ModelFile, row.files)),
        created_at=row.created_at,
        findings=tuple(starmap(Finding, row.findings)),
        read_at=row.read_at,
        model=row.model,
        booster=row.booster,
        normalizer=row.normalizer,
        metadata=row.metadata,
        evaluation=row.evaluation,
        importance=row.importance,
        run=row.run,
        rules=row.rules,
    )
    return version_with_shared_values(version, shared)


_PARTS = ("model", "booster", "normalizer", "metadata", "evaluation", "run")
