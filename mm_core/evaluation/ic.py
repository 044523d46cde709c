"""Information coefficients of many groups side by side, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy  # its parts are loaded when they are first used: half a second that the overview does not need
from numpy.typing import NDArray

from mm_core.domain.groups import Group
from mm_core.evaluation.families import family_of

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]


class GroupName(NamedTuple):
    """Which group a column of a matrix is."""

    model_name: str
    symbol: str
    return_name: str
    group_key: str


@dataclass(frozen=True, slots=True)
class IcMatrix:
    """Kendall tau of each factor (row) in each group (column); NaN where the group has none that can be one.

    ``selected`` says where the factor is one of the group's dimensions.
    """

    factors: tuple[str, ...]
    groups: tuple[GroupName, ...]
    taus: FloatArray
    selected: NDArray[np.bool_]

    def part(self, rows: Sequence[int] | Indices, columns: Sequence[int] | Indices) -> IcMatrix:
        """Return the given rows and columns in the given order."""
        cells = np.ix_(np.asarray(rows, np.intp), np.asarray(columns, np.intp))
        return IcMatrix(
            tuple(self.factors[row] for row in rows),
            tuple(self.groups[column] for column in columns),
            self.taus[cells],
            self.selected[cells],
        )


def ic_matrix(groups: Sequence[tuple[str, Group]]) -> IcMatrix:
    """Return the matrix of groups, each given with its model's name; factors in first-seen order."""
    columns: list[dict[str, float | None]] = []
    for _, group in groups:
        column: dict[str, float | None] = dict(zip(group.factors.names, group.factors.taus, strict=True))
        if len(group.ic) > len(column) or not column.keys() >= set(group.ic.factor_names):
            column = group.ic.tau_by_factor(group.symbol, group.return_name) | column
        columns.append(column)
    rows = {name: row for row, name in enumerate(dict.fromkeys(name for column in columns for name in column))}
    taus = np.full((len(rows), len(groups)), np.nan)
    selected = np.zeros((len(rows), len(groups)), bool)
    for at, column in enumerate(columns):
        places = np.fromiter((rows[name] for name in column), np.intp, len(column))
        taus[places, at] = valid_taus(list(column.values()))
        chosen = groups[at][1].factors.names
        selected[np.fromiter((rows[name] for name in chosen), np.intp, len(chosen)), at] = True
    names = tuple(GroupName(model, group.symbol, group.return_name, group.group_key) for model, group in groups)
    return IcMatrix(tuple(rows), names, taus, selected)


def valid_taus(taus: Sequence[float | None] | FloatArray) -> FloatArray:
    """Return taus as numbers, NaN where there is none or where it lies outside [-1, 1] and so can be no correlation."""
    values = np.array(taus, float)  # None becomes NaN
    return np.where(np.abs(values) <= 1, values, np.nan)


def valid_tau(tau: float | None) -> float | None:
    """Return a tau, None where there is none or where it lies outside [-1, 1] and so can be no correlation."""
    return tau if tau is not None and abs(tau) <= 1 else None


def known_taus(taus: Mapping[str, float | None]) -> dict[str, float]:
    """Return the taus that can be a correlation, by name as they are given."""
    return {name: tau for name, given in taus.items() if (tau := valid_tau(given)) is not None}


def coverage(matrix: IcMatrix) -> FloatArray:
    """Return 2 where a factor is one of the group's dimensions, 1 where it only has a tau, NaN where it is missing."""
    return np.where(matrix.selected, 2.0, np.where(np.isnan(matrix.taus), np.nan, 1.0))


def strength_ranks(taus: FloatArray) -> FloatArray:
    """Return each absolute tau's rank within its column, from 0 (weakest) to 1 (strongest); NaN stays.

    Equal ones share the mean of their ranks; a column's only tau is its strongest.
    """
    ranks = scipy.stats.rankdata(np.abs(taus), axis=0, nan_policy="omit")
    count = np.sum(~np.isnan(taus), axis=0)
    return np.where(np.isnan(taus) | (count > 1), (ranks - 1) / np.maximum(count - 1, 1), 1.0)


def mean_order(taus: FloatArray) -> Indices:
    """Return the rows from the highest mean tau to the lowest; rows without a number last."""
    means = row_means(taus)
    return np.argsort(np.where(np.isnan(means), np.inf, -means), kind="stable")


def clustered_order(taus: FloatArray) -> Indices:
    """Return the rows so that those of like taus stand together.

    Average linkage of Euclidean distances with optimal leaf order (Bar-Joseph et al. 2001); a missing tau counts as 0.
    """
    if len(taus) < 3 or taus.shape[1] == 0:
        return np.arange(len(taus))
    hierarchy = scipy.cluster.hierarchy
    tree = hierarchy.linkage(scipy.spatial.distance.pdist(np.nan_to_num(taus)), "average", optimal_ordering=True)
    return np.asarray(hierarchy.leaves_list(tree), np.intp)


def row_means(values: FloatArray) -> FloatArray:
    """Return the mean of each row's numbers, NaN for a row that has none."""
    counts = np.sum(~np.isnan(values), axis=1)
    return np.where(counts == 0, np.nan, np.nansum(values, axis=1) / np.maximum(counts, 1))


@dataclass(frozen=True, slots=True)
class FactorConsistency:
    """How one factor does across groups, an array entry a factor.

    ``count`` groups have a tau, ``selected`` groups a dimension; ``mean`` and ``deviation`` (sample) of tau; ``t`` is
    mean / (deviation / sqrt(count)), NaN below two groups and infinite where all taus are one number; ``same_sign`` the
    share of groups whose tau has the sign of the mean.
    """

    factors: tuple[str, ...]
    count: NDArray[np.int64]
    selected: NDArray[np.int64]
    mean: FloatArray
    deviation: FloatArray
    t: FloatArray
    same_sign: FloatArray


def factor_consistency(matrix: IcMatrix) -> FactorConsistency:
    """Return each factor's mean, spread, t and agreement of sign across the matrix's groups."""
    taus = matrix.taus
    count = np.sum(~np.isnan(taus), axis=1)
    mean = row_means(taus)
    squares = np.nansum((taus - mean[:, None]) ** 2, axis=1)
    lowest, highest = (extreme.reduce(taus, axis=1, initial=np.nan) for extreme in (np.fmin, np.fmax))
    squares = np.where(lowest == highest, 0.0, squares)  # the mean of equal numbers is rounded
    deviation = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / (deviation / np.sqrt(count))
        same = np.nansum(np.sign(taus) == np.sign(mean)[:, None], axis=1) / count
    same = np.where(np.isnan(mean), np.nan, same)
    return FactorConsistency(matrix.factors, count, matrix.selected.sum(axis=1), mean, deviation, t, same)


@dataclass(frozen=True, slots=True)
class TauSummary:
    """The taus of one group in figures; quartiles by linear interpolation, all None where there is no tau."""

    count: int
    mean: float | None = None
    mean_absolute: float | None = None
    deviation: float | None = None
    positive_share: float | None = None
    quartiles: tuple[float, float, float, float, float] | None = None


def summarize(taus: Sequence[float | None] | FloatArray) -> TauSummary:
    """Return how many taus there are, their means, sample deviation, share above 0 and quartiles."""
    values = valid_taus(taus)
    values = values[~np.isnan(values)]
    if not len(values):
        return TauSummary(0)
    low, first, median, third, high = (float(value) for value in np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    return TauSummary(
        len(values),
        float(values.mean()),
        float(np.abs(values).mean()),
        float(values.std(ddof=1)) if len(values) > 1 else None,
        float(np.mean(values > 0)),
        (low, first, median, third, high),
    )


def family_means(matrix: IcMatrix) -> tuple[tuple[str, ...], FloatArray, tuple[int, ...]]:
    """Return families (largest first), their mean tau in each group, and how many factors each has."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(matrix.factors):
        rows.setdefault(family_of(name), []).append(row)
    ordered = sorted(rows, key=lambda name: (-len(rows[name]), name))
    means = [row_means(matrix.taus[rows[name]].T) for name in ordered]
    table = np.array(means).reshape(len(ordered), len(matrix.groups))
    return tuple(ordered), table, tuple(len(rows[name]) for name in ordered)


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """How alike two sets of taus rank their common factors.

    ``kendall`` (tau-b) and ``spearman`` are None below three common factors or where one side is constant; ``overlap``
    is the share of the ``top`` largest absolute taus (equal ones by name) that both sides have.
    """

    common: int
    kendall: float | None
    spearman: float | None
    top: int
    overlap: float | None


def rank_agreement(left: Mapping[str, float | None], right: Mapping[str, float | None], top: int = 20) -> RankAgreement:
    """Return the rank agreement of two groups' taus by factor name; what can be no tau is left out."""
    one, two = known_taus(left), known_taus(right)
    a, b = _common(one, two)
    size = min(top, len(one), len(two))
    overlap = len(_strongest(one, size) & _strongest(two, size)) / size if size else None
    spearman = float(scipy.stats.spearmanr(a, b).statistic) if _can_be_ranked(a, b) else None
    return RankAgreement(len(a), _kendall(a, b), spearman, size, overlap)


def kendall_agreement(left: Mapping[str, float | None], right: Mapping[str, float | None]) -> float | None:
    """Return Kendall's tau-b of two groups' taus by factor name, as `rank_agreement` has it."""
    return _kendall(*_common(known_taus(left), known_taus(right)))


def _common(one: Mapping[str, float], two: Mapping[str, float]) -> tuple[FloatArray, FloatArray]:
    names = [name for name in one if name in two]
    return np.array([one[name] for name in names]), np.array([two[name] for name in names])


def _can_be_ranked(a: FloatArray, b: FloatArray) -> bool:
    return len(a) > 2 and bool(np.ptp(a)) and bool(np.ptp(b))


def _kendall(a: FloatArray, b: FloatArray) -> float | None:
    return float(scipy.stats.kendalltau(a, b).statistic) if _can_be_ranked(a, b) else None


def _strongest(taus: Mapping[str, float], size: int) -> set[str]:
    return set(sorted(taus, key=lambda name: (-abs(taus[name]), name))[:size])
