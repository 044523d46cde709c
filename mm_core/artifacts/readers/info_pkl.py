"""``_info.pkl``: what the training run noted, read without running the pickle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mm_core.artifacts.pickles import read_info
from mm_core.artifacts.readers.ic_csv import COLUMNS, parse_tau
from mm_core.artifacts.readers.names import is_name
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.factors import IcTable
from mm_core.domain.groups import TrainingInfo
from mm_core.spelling import visible

REMEDY = "Write the value as plain Python or NumPy data and pickle the dict again."


def read_training_info(data: bytes, report: FileReport) -> tuple[TrainingInfo, IcTable]:
    """Return the training info and the IC rows of a pickled dict; keys that cannot be used are findings.

    Names with characters that nobody sees are not used; any other text shows them as escapes.
    Raises `UnreadableArtifact` for bytes that are no pickled dict and for pickles that refer to callables.
    """
    info = read_info(data)
    for key, detail in info.problems:
        report.warn("bad-info-value", f"{key}: {detail}", REMEDY)
    values: dict[str, Any] = info.values
    window: tuple[int | None, int | None] = values.get("train_window") or (None, None)
    training = TrainingInfo(
        symbol=_name("symbol", values, report),
        return_name=_name("return_name", values, report),
        window_start_ts=window[0],
        window_end_ts=window[1],
        start_date=_shown(values.get("train_start_date")),
        end_date=_shown(values.get("train_end_date")),
        samples=values.get("train_samples"),
        seconds=values.get("train_time"),
        original_factors_count=values.get("original_factors_count"),
        ic_filtered_count=values.get("ic_filtered_count"),
        final_factors_count=values.get("final_factors_count"),
        selected_factors=_factor_names(values.get("selected_factors") or (), report),
        config=_shown(values.get("config") or {}),
        feature_importance=_shown(values.get("feature_importance") or {}),
    )
    return training, _ic_table(values.get("ic_df") or (), report)


def _name(key: str, values: Mapping[str, Any], report: FileReport) -> str | None:
    name = str(values.get(key) or "").strip()
    if not name or is_name(name):
        return name or None
    report.warn("bad-info-value", f"{key}: '{name[:60]}' has characters that nobody sees, or too many.", REMEDY)
    return None


def _shown(value: Any) -> Any:
    """Return plain data whose texts hide nothing; notes may have several lines."""
    if isinstance(value, str):
        return "\n".join(map(visible, value.split("\n")))
    if isinstance(value, Mapping):
        return {_shown(key): _shown(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(entry) for entry in value]
    return value


def _factor_names(names: Sequence[str], report: FileReport) -> tuple[str, ...]:
    for name, count in sorted(Counter(names).items()):
        if not is_name(name):
            report.warn("bad-factor-name", f"selected_factors has '{name[:60]}', which is left out.", REMEDY)
        elif count > 1:
            report.warn("duplicate-factor", f"selected_factors names '{name[:80]}' twice; it counts once.", REMEDY)
    return tuple(name for name in dict.fromkeys(names) if is_name(name))


def _ic_table(rows: Sequence[Mapping[str, Any]], report: FileReport) -> IcTable:
    if not rows:
        return IcTable()
    missing = [name for name in COLUMNS if name not in rows[0]]
    if missing:
        report.warn("ic-header", f"ic_df has no column {', '.join(missing)}; it is not used.", REMEDY)
        return IcTable()
    rows = [row for row in rows if _has_names(row, report)]
    if not rows:
        return IcTable()
    extra = [name for name in rows[0] if name not in COLUMNS]
    return IcTable(
        symbols=tuple(_cell(row["symbol"]) for row in rows),
        factor_names=tuple(_cell(row["factor_name"]) for row in rows),
        return_names=tuple(_cell(row["return_name"]) for row in rows),
        taus=tuple(_tau(row["Kendall_tau"], report) for row in rows),
        extra={
            _shown(name): tuple("" if row[name] is None else visible(str(row[name])) for row in rows) for name in extra
        },
    )


def _cell(value: object) -> str:
    return "" if value is None else str(value).strip()


def _has_names(row: Mapping[str, Any], report: FileReport) -> bool:
    for column in COLUMNS[:3]:
        cell = _cell(row[column])
        if cell and not is_name(cell):
            report.warn("bad-row", f"ic_df has {column} '{cell[:60]}'; the row is left out.", REMEDY)
            return False
    return True


def _tau(value: object, report: FileReport) -> float | None:
    if value is None:
        return None
    return parse_tau(str(value), report, None)
