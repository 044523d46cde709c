"""Registered models, their groups, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mm_core.domain.files import ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel
from mm_core.evaluation.ic import summarize, valid_taus
from mm_core.evaluation.importance import group_importance
from mm_core.evaluation.training import Freshness, freshness, training_window

TOP_FACTORS = 8
"""How many of its factors a group's row shows."""


def models_table(models: Sequence[tuple[RegisteredModel, Scan]], now: datetime) -> pd.DataFrame:
    """Return one row a registered model; ``stale`` counts groups whose training window ended 30 days ago or earlier."""
    rows = []
    for model, scan in models:
        severities = [finding.severity for finding in scan.all_findings()]
        windows = [training_window(group.training) for group in scan.groups.values()]
        ends = [window.end for window in windows if window.end is not None]
        ages = [freshness(window.age_days(now)) for window in windows]
        taus = [tau for group in scan.groups.values() for tau in group.factors.taus]
        rows.append(
            {
                "model": model.name,
                "symbols": len(scan.symbols()),
                "groups": len(scan.groups),
                "versions": len(scan.versions),
                "ready for bots": sum(group.payload_ready for group in scan.groups.values()),
                "factors": len(scan.factor_union()),
                "mean |τ|": summarize(taus).mean_absolute,
                "trained until": pd.Timestamp(max(ends)) if ends else pd.NaT,
                "stale": ages.count(Freshness.STALE),
                "errors": severities.count(Severity.ERROR),
                "warnings": severities.count(Severity.WARNING),
                "notes": severities.count(Severity.INFO),
                "last scan": pd.Timestamp(scan.scanned_at),
                "directory": model.root_path,
            }
        )
    return _with_times(pd.DataFrame(rows), "trained until", "last scan")


def groups_table(groups: Iterable[Group], now: datetime) -> pd.DataFrame:
    """Return one row a group: what it is, how it was trained, how old it is, and whether bots can be given it."""
    return with_ages(ageless_groups_table(groups), now)


def with_ages(table: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Return a table of `ageless_groups_table` with the whole days since each window's end, and its freshness.

    A day that is not over does not count, ahead of ``now`` as little as behind it.
    """
    ages = (pd.Timestamp(now) - table["trained until"]).dt.total_seconds() / timedelta(days=1).total_seconds()
    marks = [str(freshness(age if age == age else None)) for age in ages.tolist()]
    place = list(table.columns).index("trained until") + 1
    aged = table.copy(deep=False)
    aged.insert(place, "age in days", np.trunc(ages).astype("Int64"))
    aged.insert(place + 1, "freshness", pd.Series(marks, table.index, str))
    return aged


def ageless_groups_table(groups: Iterable[Group]) -> pd.DataFrame:
    """Return what `groups_table` has of groups whatever the time is."""
    rows = []
    for group in groups:
        window = training_window(group.training)
        summary = summarize(group.factors.taus)
        top, strengths = top_factors(group)
        severities = [finding.severity for finding in group.findings]
        rows.append(
            {
                "symbol": group.symbol,
                "return": group.return_name,
                "ready": "yes" if group.payload_ready else "no",
                "dimension": group.feature_dim,
                "trees": group.model.num_trees if group.model is not None else None,
                "samples": group.training.samples,
                "trained from": _time(window.start),
                "trained until": _time(window.end),
                "mean |τ|": summary.mean_absolute,
                "top factors": strengths,
                "strongest": top,
                "errors": severities.count(Severity.ERROR),
                "warnings": severities.count(Severity.WARNING),
                "group": group.group_key,
            }
        )
    columns = [
        "symbol", "return", "ready", "dimension", "trees", "samples", "trained from", "trained until", "mean |τ|",
        "top factors", "strongest", "errors", "warnings", "group",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    for name in ("trees", "samples"):
        table[name] = table[name].astype("Int64")
    return _with_times(table, "trained from", "trained until")


def top_factors(group: Group) -> tuple[str, list[float]]:
    """Return the names of the factors with the largest gain, and their gains relative to the first.

    By the training info's importance; where that tells nothing of the group's factors, by absolute tau.
    """
    known = group_importance(group, None)
    values = known.share if known is not None else np.nan_to_num(np.abs(valid_taus(group.factors.taus)))
    weights = {name: value for name, value in zip(group.factors.names, values.tolist(), strict=True) if value > 0}
    best = sorted(weights, key=lambda name: -weights[name])[:TOP_FACTORS]
    return ", ".join(best[:3]), [round(weights[name] / weights[best[0]], 4) for name in best]


def unserved(models: Iterable[tuple[RegisteredModel, Scan]]) -> list[tuple[str, Group, str]]:
    """Return the groups that bots cannot be given, each with its model's name and the reason."""
    return [
        (model.name, group, why_unserved(group))
        for model, scan in models
        for group in scan.groups.values()
        if not group.payload_ready
    ]


def why_unserved(group: Group) -> str:
    """Return what keeps a group from bots: its errors, or that it has no model file."""
    reasons = [finding.sentence for finding in group.findings if finding.severity is Severity.ERROR]
    return " ".join(reasons) or "There is neither a _model.json nor a _model.pkl. Put one beside its factors."


def findings_table(findings: Iterable[tuple[str, str, Finding]]) -> pd.DataFrame:
    """Return one row a finding, given with its model and symbol or version (empty for the root's own), errors first."""
    rows = [
        {
            "severity": str(finding.severity),
            "model": model_name,
            "symbol, version": part,
            "file": finding.place,
            "what": finding.detail,
            "remedy": finding.remedy,
            "code": finding.code,
        }
        for model_name, part, finding in sorted(
            findings, key=lambda one: (one[2].severity.rank, one[0], one[2].file, one[2].line or 0)
        )
    ]
    return pd.DataFrame(rows, columns=["severity", "model", "symbol, version", "file", "what", "remedy", "code"])


def findings_of(models: Iterable[tuple[RegisteredModel, Scan]]) -> list[tuple[str, str, Finding]]:
    """Return all findings of models, as `findings_table` takes them."""
    return [found for model, scan in models for found in findings_in(scan, model.name)]


def findings_in(scan: Scan, model_name: str = "") -> list[tuple[str, str, Finding]]:
    """Return all findings of a scan, as `findings_table` takes them; one that nobody registered has no model's name."""
    found = [(model_name, "", finding) for finding in (*scan.findings, *scan.look_alikes, *scan.twins)]
    found += [(model_name, group.symbol, finding) for group in scan.groups.values() for finding in group.findings]
    found += [(model_name, one.name, finding) for one in scan.versions.values() for finding in one.findings]
    return found


def files_table(files: Sequence[ModelFile], root: str, digests: Mapping[str, str]) -> pd.DataFrame:
    """Return one row a file of a group or a version with size, time and digest (empty where it is not known)."""
    return pd.DataFrame(
        [
            {
                "role": str(file.role),
                "file": file.path,
                "bytes": file.size_bytes,
                "modified": pd.Timestamp(file.modified_ns, unit="ns", tz="UTC"),
                "SHA-256": digests.get(file.path, ""),
                "directory": root,
            }
            for file in files
        ],
        columns=["role", "file", "bytes", "modified", "SHA-256", "directory"],
    )


def _time(moment: datetime | None) -> pd.Timestamp | None:
    return pd.Timestamp(moment) if moment is not None else None


def _with_times(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    return table.assign(**{name: pd.to_datetime(table[name], utc=True) for name in names if name in table})
