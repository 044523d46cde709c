"""``_info.pkl``: what the training run noted, read without running the pickle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mm_core.artifacts.pickles import read_info
from mm_core.artifacts.readers.ic_csv import COLUMNS, parse_tau
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.factors import IcTable
from mm_core.domain.groups import TrainingInfo

REMEDY = "Write the value as plain Python or NumPy data and pickle the dict again."


def read_training_info(data: bytes, report: FileReport) -> tuple[TrainingInfo, IcTable]:
    """Return the training info and the IC rows of a pickled dict; keys that cannot be used are findings.

    Raises `UnreadableArtifact` for bytes that are no pickled dict and for pickles that refer to callables.
    """
    info = read_info(data)
    for key, detail in info.problems:
        report.warn("bad-info-value", f"{key}: {detail}", REMEDY)
    values: dict[str, Any] = info.values
    window: tuple[int | None, int | None] = values.get("train_window") or (None, None)
    training = TrainingInfo(
        symbol=values.get("symbol"),
        return_name=values.get("return_name"),
        window_start_ts=window[0],
        window_end_ts=window[1],
        start_date=values.get("train_start_date"),
        end_date=values.get("train_end_date"),
        samples=values.get("train_samples"),
        seconds=values.get("train_time"),
        original_factors_count=values.get("original_factors_count"),
        ic_filtered_count=values.get("ic_filtered_count"),
        final_factors_count=values.get("final_factors_count"),
        selected_factors=_without_duplicates(values.get("selected_factors") or (), report),
        config=values.get("config") or {},
        feature_importance=values.get("feature_importance") or {},
    )
    return training, _ic_table(values.get("ic_df") or (), report)


def _without_duplicates(names: Sequence[str], report: FileReport) -> tuple[str, ...]:
    for name in sorted(name for name, count in Counter(names).items() if count > 1):
        report.warn("duplicate-factor", f"selected_factors names {name[:80]!r} twice; it counts once.", REMEDY)
    return tuple(dict.fromkeys(names))


def _ic_table(rows: Sequence[Mapping[str, Any]], report: FileReport) -> IcTable:
    if not rows:
        return IcTable()
    missing = [name for name in COLUMNS if name not in rows[0]]
    if missing:
        report.warn("ic-header", f"ic_df has no column {', '.join(missing)}; it is not used.", REMEDY)
        return IcTable()
    extra = [name for name in rows[0] if name not in COLUMNS]
    return IcTable(
        symbols=tuple(str(row["symbol"]) for row in rows),
        factor_names=tuple(str(row["factor_name"]) for row in rows),
        return_names=tuple(str(row["return_name"]) for row in rows),
        taus=tuple(_tau(row["Kendall_tau"], report) for row in rows),
        extra={name: tuple("" if row[name] is None else str(row[name]) for row in rows) for name in extra},
    )


def _tau(value: object, report: FileReport) -> float | None:
    if value is None:
        return None
    return parse_tau(str(value), report, None)
