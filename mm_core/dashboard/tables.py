"""Values as tables that pages show."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mm_core.domain.configs import FactorConfig, FactorConfigRevision
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel


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


def findings_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return one row a finding, errors first."""
    order = list(Severity)
    rows = [
        {
            "severity": str(finding.severity),
            "file": finding.file if finding.line is None else f"{finding.file}:{finding.line}",
            "what": finding.detail,
            "remedy": finding.remedy,
        }
        for finding in sorted(findings, key=lambda one: (order.index(one.severity), one.file, one.line or 0))
    ]
    return pd.DataFrame(rows, columns=["severity", "file", "what", "remedy"])


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
            "factors changed": len(revision.changes),
            "note": revision.note,
        }
        for revision in reversed(history)
    ]
    return pd.DataFrame(rows)
