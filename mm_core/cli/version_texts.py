"""Versions as commands print them: the columns that people know, and documents for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mm_core.domain.runs import RunMetadata
from mm_core.registry.documents import finding_document
from mm_core.versions import Latest, RemovalPlan, Removed, Run

COLUMNS = (("Version", 17), ("Created", 20), ("Models", 8), ("Size", 8), ("Sharpe Ratio", 12))
METRICS = (
    ("Accuracy", "accuracy"),
    ("Sharpe Ratio", "sharpe_ratio"),
    ("Win Rate", "win_rate"),
    ("Max Drawdown", "max_drawdown"),
)
NOT_KNOWN = "N/A"


def listing(runs: Sequence[Run], latest: Latest) -> str:
    """Return the table of versions, and what is doubtful about them."""
    if not runs:
        return "No model versions found."
    widths = [width for _, width in COLUMNS]
    head = _columns([name for name, _ in COLUMNS])
    lines = [f"Found {len(runs)} model versions:", head, "-" * (sum(widths) + len(widths) - 1)]
    for run in runs:
        best = run.metadata.best_sharpe if run.metadata is not None else None
        cells = (run.version, _time(run.created_at), str(len(run.files)), size_text(run.size_bytes), _number(best, 3))
        lines.append(_columns(cells))
    lines += ["", f"Current version (latest): {latest.version}"]
    if latest.problem is not None:
        lines.append(f"warning: {latest.problem}")
    doubtful = [run.version for run in runs if run.metadata is not None and run.metadata.implausible_metrics]
    if doubtful:
        lines.append(f"warning: implausible metrics, no reason to promote: {', '.join(doubtful)}")
    corrupt = [run.version for run in runs if run.metadata is None]
    if corrupt:
        lines.append(f"warning: no metadata that can be read: {', '.join(corrupt)}")
    return "\n".join(lines)


def shown(run: Run) -> str:
    """Return one version with metrics to four digits and weights to three."""
    lines = [
        f"Version: {run.version}",
        f"Created: {_time(run.created_at)}",
        f"Path: {run.path}",
        f"Size: {size_text(run.size_bytes)}",
        f"Available models: {', '.join(run.available_models) or 'none'}",
    ]
    metadata = run.metadata if run.metadata is not None else RunMetadata()
    if metadata.performance_metrics:
        lines += ["", "Performance Metrics:"]
        for model, metrics in metadata.performance_metrics.items():
            lines.append(f"  {model}:")
            lines += [f"    {title}: {_number(metrics.get(name), 4)}" for title, name in METRICS]
    if metadata.ensemble_weights:
        lines += ["", "Ensemble Weights:"]
        lines += [f"  {model}: {weight:.3f}{_share(run, model)}" for model, weight in metadata.ensemble_weights.items()]
    if metadata.prediction_threshold is not None:
        lines += ["", f"Prediction Threshold: {metadata.prediction_threshold:.4f}"]
    if run.findings:
        lines += ["", *(f"{finding.severity}: {finding.sentence}" for finding in run.findings)]
    return "\n".join(lines)


def plan_lines(plan: RemovalPlan) -> list[str]:
    """Return what would go, what stays and why."""
    lines = [f"Versions to delete: {len(plan.removals)}"]
    lines += [f"  {one.version}  {size_text(one.size_bytes)}" for one in plan.removals]
    lines += [f"  {one.path}  {size_text(one.size_bytes)}, left over" for one in plan.leftovers]
    lines += [f"Stays: {one.version}: {one.reason}" for one in plan.protected]
    if plan.kept:
        lines.append(f"Stay as the newest {plan.keep}: {', '.join(plan.kept)}")
    if plan.next_latest is not None:
        lines.append(f"Latest will be: {plan.next_latest}")
    return lines


def removed_lines(removed: Removed) -> list[str]:
    """Return what is gone, and what is not."""
    return [
        *(f"Deleted version {version}." for version in removed.versions),
        *(f"Stayed: {one.version}: {one.reason}" for one in removed.stayed),
        *(f"In the trash: {one}" for one in removed.in_trash),
        f"{size_text(removed.freed_bytes)} freed.",
    ]


def run_document(run: Run) -> dict[str, Any]:
    """Return one version for programs; without readable metadata, what comes from it is null."""
    metadata = run.metadata
    return {
        "version": run.version,
        "path": str(run.path),
        "created": run.created_at,
        "size_bytes": run.size_bytes,
        "available_models": run.available_models,
        "missing_models": run.missing_models,
        "files": [
            {"model": file.model, "name": file.name, "format": file.format, "size_bytes": file.size_bytes}
            for file in run.files
        ],
        "trained_models": metadata.trained_models if metadata is not None else None,
        "performance_metrics": metadata.performance_metrics if metadata is not None else None,
        "ensemble_weights": metadata.ensemble_weights if metadata is not None else None,
        "ensemble_shares": run.ensemble_shares if metadata is not None else None,
        "prediction_threshold": metadata.prediction_threshold if metadata is not None else None,
        "best_sharpe": metadata.best_sharpe if metadata is not None else None,
        "findings": [finding_document(finding) for finding in run.findings],
    }


def plan_document(plan: RemovalPlan) -> dict[str, Any]:
    """Return a plan for programs."""
    return {
        "root": str(plan.root),
        "to_delete": [{"version": one.version, "size_bytes": one.size_bytes} for one in plan.removals],
        "leftovers": [{"path": one.path, "size_bytes": one.size_bytes} for one in plan.leftovers],
        "protected": [{"version": one.version, "reason": one.reason} for one in plan.protected],
        "kept": plan.kept,
        "next_latest": plan.next_latest,
    }


def removed_document(removed: Removed) -> dict[str, Any]:
    """Return what a plan came to for programs."""
    return {
        "deleted": removed.versions,
        "stayed": [{"version": one.version, "reason": one.reason} for one in removed.stayed],
        "in_trash": removed.in_trash,
        "freed_bytes": removed.freed_bytes,
    }


def size_text(size_bytes: int) -> str:
    """Return a size in the largest of B, KB, MB, GB (each 1,024 of the one before) that leaves 1 or more."""
    size = float(size_bytes)
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}GB"


def _share(run: Run, model: str) -> str:
    """Return what a weight comes to where other models of the ensemble have no file."""
    if model in run.missing_models:
        return " (no file)"
    shares = run.ensemble_shares
    if run.metadata is None or model not in shares or shares.keys() == run.metadata.ensemble_weights.keys():
        return ""
    return f" ({shares[model]:.3f} of the models present)"


def _columns(cells: Sequence[str]) -> str:
    return " ".join(f"{cell:<{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True)).rstrip()


def _time(at: str) -> str:
    return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M:%S")


def _number(value: float | None, digits: int) -> str:
    return NOT_KNOWN if value is None else f"{value:.{digits}f}"
