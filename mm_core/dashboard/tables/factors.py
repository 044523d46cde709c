"""Factors of a group, and of many groups side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mm_core.domain.configs import FactorConfig
from mm_core.domain.groups import Group
from mm_core.evaluation.comparison import Change, FactorShift, GroupShift, ParameterPair
from mm_core.evaluation.families import family_of
from mm_core.evaluation.ic import FactorConsistency, IcMatrix, TauSummary, valid_taus
from mm_core.evaluation.importance import Importance, Standing


def factor_table(
    group: Group, config: FactorConfig, importance: Importance | None, standings: Sequence[Standing]
) -> pd.DataFrame:
    """Return one row a factor in dimension order: tau and its rank by size, gain, normalization, standing.

    A tau is that of the files; one that can be no correlation has no rank.
    """
    sizes = pd.Series(np.abs(valid_taus(group.factors.taus))).rank(ascending=False, method="min")
    table = pd.DataFrame(
        {
            "dim": range(len(group.factors)),
            "factor": group.factors.names,
            "family": [family_of(name) for name in group.factors.names],
            "Kendall τ": np.array(group.factors.taus, float),
            "|τ| rank": sizes.astype("Int64"),
        }
    )
    if importance is not None:
        table["gain"] = importance.total_gain
        table["gain share"] = importance.share
        table["gain rank"] = importance.rank
        table["standing"] = [str(one) for one in standings]
    table["mean"] = config.mean_values
    table["variance"] = config.variance_values
    return table


def matrix_table(matrix: IcMatrix, labels: Sequence[str]) -> pd.DataFrame:
    """Return a matrix as one row a factor, one column a group."""
    names = ["factor"]
    for label in labels:  # a symbol may be called factor, too
        names.append(label if label not in names else f"{label} ({len(names)})")
    columns = [list(matrix.factors), *matrix.taus.T]
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def consistency_table(consistency: FactorConsistency, groups: int) -> pd.DataFrame:
    """Return one row a factor, those whose sign is most consistent over most groups first."""
    table = pd.DataFrame(
        {
            "factor": consistency.factors,
            "family": [family_of(name) for name in consistency.factors],
            "mean τ": consistency.mean,
            "deviation": consistency.deviation,
            "t": consistency.t,
            "same sign": consistency.same_sign,
            "groups with τ": consistency.count,
            "selected in": consistency.selected,
            "coverage": consistency.count / max(groups, 1),
        }
    )
    order = table.assign(size=table["mean τ"].abs(), weight=table["same sign"] * table["coverage"])
    return table.loc[order.sort_values(["weight", "size"], ascending=False, kind="stable").index].reset_index(drop=True)


def summaries_table(labels: Sequence[str], summaries: Sequence[TauSummary]) -> pd.DataFrame:
    """Return one row a group with the figures of its taus."""
    return pd.DataFrame(
        [
            {
                "group": label,
                "factors with τ": one.count,
                "mean τ": one.mean,
                "mean |τ|": one.mean_absolute,
                "deviation": one.deviation,
                "above 0": one.positive_share,
                "lowest": one.quartiles[0] if one.quartiles else None,
                "median": one.quartiles[2] if one.quartiles else None,
                "highest": one.quartiles[4] if one.quartiles else None,
            }
            for label, one in zip(labels, summaries, strict=True)
        ]
    )


def shifts_table(shifts: Sequence[FactorShift]) -> pd.DataFrame:
    """Return one row a factor of either side of a comparison."""
    table = pd.DataFrame(
        [
            {
                "factor": one.factor,
                "change": str(one.change),
                "dim A": one.dim_left,
                "dim B": one.dim_right,
                "τ A": one.tau_left,
                "τ B": one.tau_right,
                "Δτ": one.tau_change,
                "gain share A": one.share_left,
                "gain share B": one.share_right,
                "Δ gain share": one.share_change,
            }
            for one in shifts
        ],
        columns=[
            "factor", "change", "dim A", "dim B", "τ A", "τ B", "Δτ", "gain share A", "gain share B", "Δ gain share",
        ],
    )  # fmt: skip
    return table.astype({"dim A": "Int64", "dim B": "Int64"})


def group_shifts_table(shifts: Sequence[GroupShift]) -> pd.DataFrame:
    """Return one row a symbol of either of two scans."""
    table = pd.DataFrame(
        [
            {
                "symbol": one.symbol,
                "change": "changed" if one.change is Change.KEPT and one.files_changed else str(one.change),
                "factors gained": one.gained if one.change is Change.KEPT else None,
                "factors lost": one.lost if one.change is Change.KEPT else None,
                "factors moved": one.moved if one.change is Change.KEPT else None,
                "mean |Δτ|": one.mean_tau_change,
                "rank agreement": one.kendall,
            }
            for one in shifts
        ],
        columns=[
            "symbol", "change", "factors gained", "factors lost", "factors moved", "mean |Δτ|", "rank agreement",
        ],
    )  # fmt: skip
    return table.astype(dict.fromkeys(("factors gained", "factors lost", "factors moved"), "Int64"))


def parameters_table(pairs: Sequence[ParameterPair]) -> pd.DataFrame:
    """Return one row a parameter, with both sides and whether they differ."""
    rows = [(one.name, one.left, one.right, "yes" if one.left != one.right else "") for one in pairs]
    return pd.DataFrame(rows, columns=["parameter", "A", "B", "differs"])


def one_sided_parameters(parameters: Mapping[str, str]) -> pd.DataFrame:
    """Return one row a parameter."""
    return pd.DataFrame(list(parameters.items()), columns=["parameter", "value"])
