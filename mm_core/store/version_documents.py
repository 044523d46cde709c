"""Versions as store documents and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from mm_core import strict_json
from mm_core.domain.runs import RunMetadata
from mm_core.domain.versions import (
    BoosterText,
    Evaluation,
    ModelContent,
    Normalizer,
    Version,
    VersionLayout,
    VersionMetadata,
    VersionNumber,
)
from mm_core.store.documents import Document, file_row, file_value, finding_document, finding_value

Part = TypeVar("Part")


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


def version_value(document: Mapping[str, Any]) -> Version:
    """Return the version of a document."""
    layout, version_id = VersionLayout(document["layout"]), document["version_id"]
    return Version(
        model_name=document["model_name"],
        version_id=version_id,
        number=VersionNumber.parse(version_id) if layout is VersionLayout.VERSIONS else None,
        layout=layout,
        path=document["path"],
        files=tuple(map(file_value, document["files"])),
        created_at=document["created_at"],
        findings=tuple(map(finding_value, document["findings"])),
        read_at=document["read_at"],
        model=_part(document, ModelContent, "model"),
        booster=_part(document, BoosterText, "booster"),
        normalizer=_part(document, Normalizer, "normalizer"),
        metadata=_part(document, VersionMetadata, "metadata"),
        evaluation=_part(document, Evaluation, "evaluation"),
        importance=document["importance"],
        run=_part(document, RunMetadata, "run"),
        rules=document["rules"],
    )


_PARTS = ("model", "booster", "normalizer", "metadata", "evaluation", "run")


def _part(document: Mapping[str, Any], kind: type[Part], name: str) -> Part | None:
    value = document[name]
    return strict_json.typed(value, kind) if value is not None else None
