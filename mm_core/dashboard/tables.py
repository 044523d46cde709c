"""Values as tables that pages show."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mm_core.domain.configs import FactorConfig, FactorConfigRevision, Normalization
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel

MOST_CHANGES = 5
"""Factors that a line of history names one by one."""


def models_table(models: Sequence[tuple[RegisteredModel, Scan]]) -> pd.DataFrame:
    """Return one row a registered model."""
    rows = []
    for model, scan in models:
        severities = [finding.severity for finding in scan.all_findings()]
        rows.append(
            {
                "model": model.name,
                "symbols": len(scan.symbols()),
                "groups": len(scan.groups),
                "ready for bots": sum(group.payload_ready for group in scan.groups.values()),
                "factors": len(scan.factor_union()),
                "errors": severities.count(Severity.ERROR),
                "warnings": severities.count(Severity.WARNING),
                "last scan": pd.Timestamp(scan.scanned_at),
                "directory": model.root_path,
            }
        )
    return pd.DataFrame(rows)


def findings_table(findings: Sequence[tuple[str, Finding]]) -> pd.DataFrame:
    """Return one row a finding with its model's name, errors first."""
    order = list(Severity)
    rows = [
        {
            "severity": str(finding.severity),
            "model": model_name,
            "file": finding.file if finding.line is None else f"{finding.file}:{finding.line}",
            "what": finding.detail,
            "remedy": finding.remedy,
        }
        for model_name, finding in sorted(
            findings, key=lambda one: (order.index(one[1].severity), one[0], one[1].file, one[1].line or 0)
        )
    ]
    return pd.DataFrame(rows, columns=["severity", "model", "file", "what", "remedy"])


def config_table(group: Group, config: FactorConfig) -> pd.DataFrame:
    """Return one row a factor in dimension order, with tau, mean and variance."""
    return pd.DataFrame(
        {
            "dim": range(len(group.factors)),
            "factor": group.factors.names,
            "Kendall tau": pd.array(group.factors.taus, dtype="Float64"),
            "mean": config.mean_values,
            "variance": config.variance_values,
        }
    )


def history_table(history: Sequence[FactorConfigRevision]) -> pd.DataFrame:
    """Return one row a revision, the newest first."""
    rows = [
        {
            "revision": revision.number,
            "at": pd.Timestamp(revision.at),
            "by": revision.by,
            "action": revision.action,
            "what": _what(revision),
            "note": revision.note,
        }
        for revision in reversed(history)
    ]
    return pd.DataFrame(rows)


def _what(revision: FactorConfigRevision) -> str:
    parts = [
        f"{name}: {_values(change.before)} → {_values(change.after)}"
        for name, change in list(revision.changes.items())[:MOST_CHANGES]
    ]
    if len(revision.changes) > MOST_CHANGES:
        parts.append(f"{len(revision.changes) - MOST_CHANGES} more factors")
    parts += [f"new: {', '.join(revision.added)}"] if revision.added else []
    parts += [f"gone: {', '.join(revision.dropped)}"] if revision.dropped else []
    return "; ".join(parts) or "defaults"


def _values(normalization: Normalization | None) -> str:
    return "default" if normalization is None else f"{normalization.mean!r}, {normalization.variance!r}"
