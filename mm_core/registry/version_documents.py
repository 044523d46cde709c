"""Versions as the plain documents that HTTP answers with: what directories hold beside what is registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mm_core.domain.versions import Version, VersionLayout
from mm_core.payloads import NormalizerOverrides, normalizer_document
from mm_core.registry.documents import file_document, finding_document, warning_sentences
from mm_core.registry.known_versions import KnownVersion
from mm_core.registry.lifecycle_documents import version_document
from mm_core.registry.version_lookups import HeldVersion


def listed_versions_document(name: str, listed: Sequence[KnownVersion]) -> dict[str, Any]:
    """Return the versions that a name stands for, the newest first."""
    return {"model_name": name, "items": [version_item(one) for one in listed]}


def version_item(one: KnownVersion) -> dict[str, Any]:
    """Return one line of a list; what no root holds has no directory, what nobody registered no record."""
    held, record = one.held, one.record
    registered = version_document(record) if record is not None else None
    if held is None:
        assert record is not None
        return {
            "model_name": record.model_name,
            "model_version": record.model_version,
            **dict.fromkeys(("version_id", "layout", "root_path", "path", "created_at", "size_bytes")),
            "payload_ready": False,
            "model_format": None,
            "model_sha256": None,
            "record": registered,
            "warnings": [f"{record.title}: no registered root holds its directory. Restore it, or register its root."],
        }
    version = held.version
    is_ready = held.can_predict and one.is_alone
    return {
        "model_name": held.family.name,
        "model_version": version.name,
        "version_id": version.version_id,
        "layout": version.layout,
        "root_path": held.model.root_path,
        "path": version.path,
        "created_at": version.created_at,
        "size_bytes": version.size_bytes,
        "payload_ready": is_ready,
        "model_format": version.model.model_format if version.model is not None else None,
        "model_sha256": version.model.sha256 if version.model is not None else None,
        "record": registered,
        "warnings": warning_sentences(held.findings),
    }


def held_version_document(held: HeldVersion, overrides: NormalizerOverrides) -> dict[str, Any]:
    """Return everything that is known of one version: its files, and what people set over its normalizer."""
    version = held.version
    return {
        **version_item(KnownVersion(held, held.record)),
        "scanned_at": version.read_at,
        "booster": _booster(version),
        "normalizer": normalizer_document(version.normalizer) if version.normalizer is not None else None,
        "normalizer_overrides": asdict(overrides),
        "metadata": asdict(version.metadata) if version.metadata is not None else None,
        "evaluation": asdict(version.evaluation) if version.evaluation is not None else None,
        "importance": version.importance,
        "run": asdict(version.run) if version.layout is VersionLayout.RUNS and version.run is not None else None,
        "artifacts": [{"role": file.role, **file_document(file)} for file in version.files],
        "findings": [finding_document(finding) for finding in held.findings],
    }


def _booster(version: Version) -> dict[str, Any] | None:
    return asdict(version.booster) if version.booster is not None else None
