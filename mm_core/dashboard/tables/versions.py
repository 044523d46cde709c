"""Versions, their figures, what happened to them, and what a cleanup would take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from mm_core.domain.configs import Normalization
from mm_core.domain.deployments import Deployment
from mm_core.domain.findings import Severity
from mm_core.domain.lifecycle import Status
from mm_core.domain.normalizers import laid_over, overridden_features
from mm_core.domain.version_records import VersionEvent
from mm_core.domain.versions import Evaluation, Normalizer, VersionLayout
from mm_core.evaluation.versions import (
    GAP,
    TEST,
    VALIDATION,
    FeatureImportance,
    FeatureShift,
    ReportedMetric,
    reported_metrics,
)
from mm_core.registry.known_versions import KnownVersion

NOT_REGISTERED = "not registered"
NO_FILES = "no files"
KINDS = {VersionLayout.VERSIONS: "version", VersionLayout.RUNS: "training run"}
BAD, DOUBTFUL, SOUND = "cannot predict", "warnings", "nothing wrong"


def status_words(held: KnownVersion) -> str:
    """Return where a version stands, or that nobody registered it."""
    return str(held.status) if held.status is not None else NOT_REGISTERED


def state_words(held: KnownVersion) -> str:
    """Return the worst that is known of a version's files."""
    if held.files is None:
        return NO_FILES
    if held.count(Severity.ERROR):
        return BAD
    return DOUBTFUL if held.count(Severity.WARNING) else SOUND


def versions_table(versions: Sequence[KnownVersion]) -> pd.DataFrame:
    """Return one row a version: where it stands, what its files say, and how large they are."""
    rows = []
    for held in versions:
        files, record = held.files, held.record
        metrics = {one.name: one.value for one in reported_metrics(files, record)}
        run = files.run if files is not None else None
        rows.append(
            {
                "model": held.family,
                "version": held.name,
                "status": status_words(held),
                "stage": str(record.status.stage) if record is not None else "",
                "files are": state_words(held),
                "kind": KINDS[files.layout] if files is not None else "",
                "latest": "yes" if held.is_latest else "",
                "pinned": "yes" if record is not None and record.pinned else "",
                "created": pd.Timestamp(held.created_at),
                VALIDATION: metrics.get(VALIDATION),
                TEST: metrics.get(TEST),
                GAP: metrics.get(GAP),
                "best Sharpe": run.best_sharpe if run is not None else None,
                "bytes": files.size_bytes if files is not None else None,
                "errors": held.count(Severity.ERROR),
                "warnings": held.count(Severity.WARNING),
                "tier": str(record.tier_requirement) if record is not None else "",
                "registration": held.registration or "",
                "directory": held.directory or "",
            }
        )
    columns = [
        "model", "version", "status", "stage", "files are", "kind", "latest", "pinned", "created", VALIDATION, TEST,
        GAP, "best Sharpe", "bytes", "errors", "warnings", "tier", "registration", "directory",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    table["created"] = pd.to_datetime(table["created"], utc=True)
    for name in (VALIDATION, TEST, GAP, "best Sharpe"):
        table[name] = table[name].astype(float)
    return table.astype({"bytes": "Int64"})


def metrics_table(metrics: Iterable[tuple[KnownVersion, ReportedMetric]]) -> pd.DataFrame:
    """Return one row a reported figure, with why it cannot be believed where it cannot."""
    rows = [
        {
            "model": held.family,
            "version": held.name,
            "created": held.created_at,
            "of": one.model,
            "metric": one.metric,
            "value": one.value,
            "doubt": one.doubt,
        }
        for held, one in metrics
    ]
    table = pd.DataFrame(rows, columns=["model", "version", "created", "of", "metric", "value", "doubt"])
    table["created"] = pd.to_datetime(table["created"], utc=True)
    return table.astype({"value": float})


def disk_table(versions: Iterable[KnownVersion]) -> pd.DataFrame:
    """Return one row a family: versions with files, their bytes, and how many bytes nothing speaks for.

    What runs, is pinned or is ``latest`` speaks for itself; whether the rest may go is for a cleanup's plan.
    """
    found: dict[str, list[KnownVersion]] = {}
    for held in versions:
        if held.files is not None:
            found.setdefault(held.family, []).append(held)
    rows = [
        {
            "model": family,
            "versions": len(mine),
            "bytes": sum(_bytes(held) for held in mine),
            "in use": sum(_bytes(held) for held in mine if is_in_use(held)),
            "deprecated": sum(_bytes(held) for held in mine if held.status is Status.DEPRECATED),
            "largest version": max(mine, key=_bytes).name,
        }
        for family, mine in found.items()
    ]
    table = pd.DataFrame(rows, columns=["model", "versions", "bytes", "in use", "deprecated", "largest version"])
    return table.sort_values("bytes", ascending=False, ignore_index=True)


def is_in_use(held: KnownVersion) -> bool:
    """Return whether a version runs, is pinned, or is what ``latest`` names."""
    record = held.record
    return held.is_latest or (record is not None and (record.status.runs or record.pinned))


def events_table(events: Sequence[VersionEvent]) -> pd.DataFrame:
    """Return one row an event, the newest first."""
    rows = [
        {
            "at": event.at,
            "version": event.version,
            "action": str(event.action),
            "before": str(event.before) if event.before is not None else "",
            "after": str(event.after) if event.after is not None else "",
            "by": event.actor,
            "why": event.note,
            "changes": "; ".join(
                f"{name}: {change.after}" if change.before is None else f"{name}: {change.before} → {change.after}"
                for name, change in event.changes.items()
                if change.before is not None or change.after is not None
            ),
        }
        for event in reversed(events)
    ]
    table = pd.DataFrame(rows, columns=["at", "version", "action", "before", "after", "by", "why", "changes"])
    return table.assign(at=pd.to_datetime(table["at"], utc=True))


def deployments_table(deployments: Sequence[Deployment]) -> pd.DataFrame:
    """Return one row a deployment, the newest first; ``until`` is missing while it lasts."""
    rows = [
        {
            "version": one.version,
            "since": one.since,
            "until": one.until,
            "by": one.by,
            "why": one.why,
            "ended by": one.ended_by or "",
            "why it ended": one.ended_why or "",
        }
        for one in reversed(deployments)
    ]
    columns = ["version", "since", "until", "by", "why", "ended by", "why it ended"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(**{name: pd.to_datetime(table[name], utc=True) for name in ("since", "until")})


def classes_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return one row a class: how well it is told."""
    table = pd.DataFrame(
        [
            {
                "class": name,
                "precision": one.precision,
                "recall": one.recall,
                "F1": one.f1_score,
                "examples": one.support,
            }
            for name, one in evaluation.per_class.items()
        ],
        columns=["class", "precision", "recall", "F1", "examples"],
    )
    return table.astype({"precision": float, "recall": float, "F1": float, "examples": "Int64"})


def importance_table(importance: Sequence[FeatureImportance]) -> pd.DataFrame:
    """Return one row a feature, the largest share of gain first."""
    table = pd.DataFrame(
        [
            {"feature": one.feature, "gain share": one.gain_share, "splits": one.splits, "declared": one.declared}
            for one in importance
        ],
        columns=["feature", "gain share", "splits", "declared"],
    )
    return table.astype({"gain share": float, "splits": "Int64", "declared": float})


def normalizer_table(normalizer: Normalizer, values: Mapping[str, Normalization]) -> pd.DataFrame:
    """Return one row a feature in the model's order, as bots get it; the variance is the square of the std.

    Where ``values`` that people set are other ones, what the files say stands behind, and ``overridden`` has a mark.
    """
    in_force, overridden = laid_over(normalizer, values), set(overridden_features(normalizer, values))
    names = normalizer.feature_names
    table = pd.DataFrame(
        {
            "dim": range(len(names)),
            "feature": names,
            "mean": in_force.mean,
            "std": in_force.std,
            "variance": [
                values[name].variance if name in overridden else variance
                for name, variance in zip(names, normalizer.variance, strict=True)
            ],
        }
    )
    if overridden:
        table.insert(2, "overridden", ["yes" if name in overridden else "" for name in names])
        table["mean in files"], table["std in files"] = normalizer.mean, normalizer.std
    return table if normalizer.fill_values is None else table.assign(**{"fill value": normalizer.fill_values})


def feature_shifts_table(shifts: Sequence[FeatureShift]) -> pd.DataFrame:
    """Return one row a feature of either version."""
    rows = []
    for one in shifts:
        row: dict[str, object] = {"feature": one.feature, "change": one.change}
        for name, pair in (
            ("dim", one.places),
            ("gain share", one.gain_shares),
            ("mean", one.means),
            ("std", one.stds),
        ):
            row |= {f"{name} A": pair[0], f"{name} B": pair[1]}
        rows.append(row)
    columns = [
        "feature", "change", "dim A", "dim B", "gain share A", "gain share B", "mean A", "mean B", "std A", "std B",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    kinds = {name: "Int64" if name.startswith("dim") else "float64" for name in columns[2:]}
    return table.astype(kinds)


def compared_metrics_table(left: Sequence[ReportedMetric], right: Sequence[ReportedMetric]) -> pd.DataFrame:
    """Return one row a figure of either version, with the change from A to B and why one cannot be believed."""
    a, b = ({one.name: one for one in side} for side in (left, right))
    rows = []
    for name in dict.fromkeys((*a, *b)):
        one, other = a.get(name), b.get(name)
        doubts = [f"{side}: {found.doubt}" for side, found in (("A", one), ("B", other)) if found and found.doubt]
        rows.append(
            {
                "metric": name,
                "A": one.value if one is not None else None,
                "B": other.value if other is not None else None,
                "doubt": "; ".join(doubts),
            }
        )
    table = pd.DataFrame(rows, columns=["metric", "A", "B", "doubt"]).astype({"A": float, "B": float})
    table.insert(3, "Δ", table["B"] - table["A"])
    return table


def _bytes(held: KnownVersion) -> int:
    return held.files.size_bytes if held.files is not None else 0
