"""Values as the plain documents that command line and HTTP answer with; field names are the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_core.domain.files import ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, Scan, TrainingInfo
from mm_core.domain.models import RegisteredModel
from mm_core.domain.moments import utc_text
from mm_core.payloads import dimension_factors

MOST_WARNINGS = 200
"""Sentences that one list of warnings holds; the rest is counted in a last one."""


def model_item(model: RegisteredModel, scan: Scan) -> dict[str, Any]:
    """Return one line of the list of models."""
    return {
        "model_name": model.name,
        "root_path": model.root_path,
        "created_at": model.created_at,
        "updated_at": model.updated_at,
        "symbol_count": len(scan.symbols()),
        "group_count": len(scan.groups),
        "version_count": len(scan.versions),
        "scanned_at": scan.scanned_at,
        "warnings": _model_warnings(model, scan),
    }


def registration_document(model: RegisteredModel, scan: Scan) -> dict[str, Any]:
    """Return what a registration answers; a refresh answers the same without ``symbols``."""
    return {
        "model_name": model.name,
        "root_path": model.root_path,
        "scanned_at": scan.scanned_at,
        "symbol_count": len(scan.symbols()),
        "group_count": len(scan.groups),
        "version_count": len(scan.versions),
        "symbols": scan.symbols(),
        "warnings": _model_warnings(model, scan),
    }


def symbols_document(scan: Scan) -> dict[str, Any]:
    """Return every group of a model in the order of the group keys."""
    return {"items": [_symbol_item(group) for group in scan.groups.values()]}


def factors_document(model: RegisteredModel, scan: Scan) -> dict[str, Any]:
    """Return the union of all groups' factors in first-seen order."""
    union = scan.factor_union()
    return {
        "model_name": model.name,
        "scanned_at": scan.scanned_at,
        "symbol_count": len(scan.symbols()),
        "group_count": len(scan.groups),
        "factor_count": len(union),
        "factors": union,
    }


def group_document(model: RegisteredModel, scan: Scan, group: Group) -> dict[str, Any]:
    """Return everything that is known of one group."""
    training = group.training
    return {
        "model_name": model.name,
        "root_path": model.root_path,
        "scanned_at": scan.scanned_at,
        **_identity(group),
        **_training_data(training),
        "train_time_sec": training.seconds,
        "factors": group.factors.names,
        "dim_factors": dimension_factors(group),
        "ic_rows": _ic_rows(group),
        "info_summary": _info_summary(group),
        "model_meta": _model_meta(group),
        "artifacts": {str(file.role): file_document(file) for file in group.files},
        "findings": [finding_document(finding) for finding in group.findings],
        "warnings": warning_sentences(group.findings),
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    """Return a finding with its parts apart."""
    return {
        "severity": finding.severity,
        "code": finding.code,
        "file": finding.file,
        "line": finding.line,
        "detail": finding.detail,
        "remedy": finding.remedy,
    }


def file_document(file: ModelFile) -> dict[str, Any]:
    """Return where a file is, its size and its time."""
    return {"path": file.path, "size_bytes": file.size_bytes, "modified_at": utc_text(file.modified_ns / 1e9)}


def warning_sentences(findings: Sequence[Finding]) -> list[str]:
    """Return findings above information as sentences, errors first, at most `MOST_WARNINGS` and a count of the rest."""
    serious = sorted((one for one in findings if one.severity is not Severity.INFO), key=lambda one: one.severity.rank)
    sentences = [finding.sentence for finding in serious[:MOST_WARNINGS]]
    if len(serious) > MOST_WARNINGS:
        sentences.append(f"{len(serious) - MOST_WARNINGS} more findings: ask for the symbols one by one.")
    return sentences


def _model_warnings(model: RegisteredModel, scan: Scan) -> list[str]:
    older = [f"An older scan is in service. {model.refresh_error}"] if model.refresh_error is not None else []
    return older + warning_sentences(scan.all_findings())


def _identity(group: Group) -> dict[str, Any]:
    return {
        "symbol": group.symbol,
        "group_key": group.group_key,
        "return_name": group.return_name,
        "feature_dim": group.feature_dim,
        "factor_count": len(group.factors),
        "payload_ready": group.payload_ready,
    }


def _symbol_item(group: Group) -> dict[str, Any]:
    return {
        **_identity(group),
        "train_start_date": group.training.start_date,
        "train_end_date": group.training.end_date,
        "warnings": warning_sentences(group.findings),
    }


def _ic_rows(group: Group) -> list[dict[str, Any]]:
    ic = group.ic
    rows = []
    for index, factor_name in enumerate(ic.factor_names):
        row: dict[str, Any] = {
            "symbol": ic.symbols[index],
            "factor_name": factor_name,
            "return_name": ic.return_names[index],
            "Kendall_tau": ic.taus[index],
        }
        row.update({name: column[index] for name, column in ic.extra.items() if name not in row})
        rows.append(row)
    return rows


def _info_summary(group: Group) -> dict[str, Any]:
    training = group.training
    return {
        "symbol": training.symbol,
        "return_name": training.return_name,
        **_training_data(training),
        "original_factors_count": training.original_factors_count,
        "ic_filtered_count": training.ic_filtered_count,
        "final_factors_count": training.final_factors_count,
        "selected_factors_count": len(training.selected_factors),
        "train_time_sec": training.seconds,
        "config": training.config,
        "feature_importance": training.feature_importance,
    }


def _training_data(training: TrainingInfo) -> dict[str, Any]:
    return {
        "train_window_start_ts": training.window_start_ts,
        "train_window_end_ts": training.window_end_ts,
        "train_start_date": training.start_date,
        "train_end_date": training.end_date,
        "train_samples": training.samples,
    }


def _model_meta(group: Group) -> dict[str, Any]:
    model = group.model
    return {
        "feature_dim": group.feature_dim,
        "objective": model.objective if model is not None else None,
        "num_trees": model.num_trees if model is not None else None,
        "num_parallel_tree": model.num_parallel_tree if model is not None else None,
        "version": model.version if model is not None else None,
    }
