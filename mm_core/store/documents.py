"""Domain values as store documents and back: dicts live here and nowhere else in this room."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from mm_core.domain.configs import CellChange, FactorConfigRevision, FromFiles, Normalization
from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, ModelSummary, ScanSummary, TrainingInfo
from mm_core.domain.models import KeptScan, RegisteredModel

Document = dict[str, Any]

_ROLES = {str(role): role for role in FileRole}
_SEVERITIES = {str(severity): severity for severity in Severity}


def model_document(model: RegisteredModel) -> Document:
    """Return a registration as a document."""
    return {
        "name": model.name,
        "root_path": model.root_path,
        "created_at": model.created_at,
        "updated_at": model.updated_at,
        "scan_id": model.scan_id,
        "refresh_error": model.refresh_error,
        "earlier_scans": model.earlier_scans,
    }


def model_value(document: Mapping[str, Any]) -> RegisteredModel:
    """Return the registration of a document."""
    earlier = tuple(KeptScan(*kept) for kept in document.get("earlier_scans", ()))  # format 1 has none
    return RegisteredModel(**{**document, "earlier_scans": earlier})


def values_document(values: Mapping[str, Normalization]) -> Document:
    """Return mean and variance by factor as a document."""
    return {name: [value.mean, value.variance] for name, value in values.items()}


def normalizations(document: Mapping[str, Any]) -> dict[str, Normalization]:
    """Return mean and variance by factor of a document."""
    return {sys.intern(name): Normalization(*pair) for name, pair in document.items()}


def from_files_document(from_files: Mapping[str, FromFiles]) -> Document:
    """Return which numbers of factors nobody set as a document."""
    return {name: [each.mean, each.variance] for name, each in from_files.items()}


def from_files_value(document: Mapping[str, Any] | None) -> dict[str, FromFiles] | None:
    """Return which numbers of factors nobody set of a document, None where nobody noted that."""
    if document is None:
        return None
    return {sys.intern(name): FromFiles(*pair) for name, pair in document.items()}


def revision_document(revision: FactorConfigRevision) -> Document:
    """Return a revision as a document."""
    return {
        "number": revision.number,
        "at": revision.at,
        "by": revision.by,
        "action": revision.action,
        "note": revision.note,
        "changes": {name: [change.before, change.after] for name, change in revision.changes.items()},
        "added": revision.added,
        "dropped": revision.dropped,
    }


def revision_value(document: Mapping[str, Any]) -> FactorConfigRevision:
    """Return the revision of a document."""
    return FactorConfigRevision(
        number=document["number"],
        at=document["at"],
        by=document["by"],
        action=document["action"],
        note=document["note"],
        changes={name: CellChange(*map(_pair, sides)) for name, sides in document["changes"].items()},
        added=tuple(document["added"]),
        dropped=tuple(document["dropped"]),
    )


def group_document(group: Group) -> Document:
    """Return a group as a document; tables are columns."""
    training, model = group.training, group.model
    return {
        "group_key": group.group_key,
        "symbol": group.symbol,
        "return_name": group.return_name,
        "files": [file_row(file) for file in group.files],
        "factors": [group.factors.names, group.factors.taus],
        "ic": [group.ic.symbols, group.ic.factor_names, group.ic.return_names, group.ic.taus, group.ic.extra],
        "training": {name: getattr(training, name) for name in TrainingInfo.__dataclass_fields__},
        "model": None if model is None else {name: getattr(model, name) for name in ModelSummary.__dataclass_fields__},
        "onnx_sha256": group.onnx_sha256,
        "findings": [finding_document(finding) for finding in group.findings],
        "read_at": group.read_at,
        "rules": group.rules,
    }


def group_value(document: Mapping[str, Any]) -> Group:
    """Return the group of a document."""
    symbols, factor_names, return_names, taus, extra = document["ic"]
    names, factor_taus = document["factors"]
    training, model = document["training"], document["model"]
    return Group(
        group_key=document["group_key"],
        symbol=document["symbol"],
        return_name=document["return_name"],
        files=tuple(map(file_value, document["files"])),
        factors=FactorTable(tuple(names), tuple(factor_taus)),
        ic=IcTable(
            tuple(symbols),
            tuple(factor_names),
            tuple(return_names),
            tuple(taus),
            {name: tuple(column) for name, column in extra.items()},
        ),
        training=TrainingInfo(
            **{
                **training,
                "selected_factors": tuple(training["selected_factors"]),
            }
        ),
        model=None if model is None else ModelSummary(**{**model, "version": tuple(model["version"])}),
        onnx_sha256=document["onnx_sha256"],
        findings=tuple(finding_value(finding) for finding in document["findings"]),
        read_at=document["read_at"],
        rules=document.get("rules", 1),
    )


def file_row(file: ModelFile) -> list[Any]:
    """Return a file as a row."""
    return [str(file.role), file.path, file.size_bytes, file.modified_ns, file.changed_ns, file.inode]


def file_value(row: Iterable[Any]) -> ModelFile:
    """Return the file of a row."""
    role, *rest = row
    return ModelFile(_ROLES[role], *rest)


def summary_document(summary: ScanSummary) -> Document:
    """Return a scan's figures as a document."""
    findings = {str(level): count for level, count in summary.findings.items()}
    return {"groups": summary.groups, "versions": summary.versions, "findings": findings}


def summary_value(document: Mapping[str, Any]) -> ScanSummary:
    """Return the figures of a document."""
    findings = {Severity(level): count for level, count in document["findings"].items()}
    return ScanSummary(document["groups"], findings, document.get("versions", 0))  # a format before 4 has none


def finding_document(finding: Finding) -> list[Any]:
    """Return a finding as a row."""
    return [str(finding.severity), finding.code, finding.file, finding.detail, finding.remedy, finding.line]


def finding_value(row: Iterable[Any]) -> Finding:
    """Return the finding of a row."""
    severity, code, file, detail, remedy, line = row
    return Finding(_SEVERITIES[severity], code, file, detail, remedy, line)


def _pair(pair: list[float] | None) -> Normalization | None:
    return None if pair is None else Normalization(*pair)
