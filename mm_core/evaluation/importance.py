"""What a model leans on, beside what its factors say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mm_core.domain.groups import Group
from mm_core.evaluation.boosters import BoosterStatistics
from mm_core.evaluation.ic import valid_taus

FloatArray = NDArray[np.float64]

LARGEST_ROUNDING = 1e-9
"""By how much a sum of shares may miss what it stands for: a hundred thousand equal ones miss 1 by 2e-12."""


class Standing(StrEnum):
    """A factor's gain against its IC within one group."""

    LEANS_WITHOUT_IC = "heavy, weak IC"
    STRONG_BUT_UNUSED = "strong IC, unused"
    ORDINARY = ""


@dataclass(frozen=True, slots=True)
class Importance:
    """Total gain in dimension order: ``share`` sums to 1 (less where dimensions without a name split too, 0
    where nothing splits), ``rank`` 1 is the largest.

    A gain below 0, which a permutation importance can be, has share 0.
    ``source`` says where the gain comes from: ``booster`` or ``training info``.
    """

    source: str
    total_gain: FloatArray
    share: FloatArray
    rank: NDArray[np.int64]


def group_importance(group: Group, statistics: BoosterStatistics | None) -> Importance | None:
    """Return the importance of a group's factors in dimension order, None where nobody knows it.

    The booster's own total gain where it could be read, else ``feature_importance`` of the training info (also under
    XGBoost's ``f0``, ``f1``, … names).
    """
    names = group.factors.names
    if statistics is not None:
        gain = np.zeros(len(names))
        shared = min(len(names), len(statistics.total_gain))
        gain[:shared] = statistics.total_gain[:shared]
        return importance("booster", gain, float(statistics.total_gain[len(names) :].sum()))
    known = group.training.feature_importance
    if not known:
        return None
    values = [known.get(name, known.get(f"f{dim}")) for dim, name in enumerate(names)]
    if all(value is None for value in values):
        return None
    return importance("training info", np.nan_to_num(np.array(values, float)))


def importance(source: str, total_gain: FloatArray, gain_of_others: float = 0.0) -> Importance:
    """Return shares and ranks of ``total_gain``; equal gains are ranked in dimension order.

    ``gain_of_others`` is that of dimensions which have no factor's name: it counts for the whole.
    """
    largest = total_gain.max(initial=0.0)
    share = np.maximum(total_gain, 0.0) / largest if largest > 0 else np.zeros(len(total_gain))
    others = max(gain_of_others, 0.0) / largest if largest > 0 else 0.0
    share /= max(share.sum() + others, 1.0)
    rank = np.empty(len(total_gain), np.int64)
    rank[np.argsort(-total_gain, kind="stable")] = np.arange(1, len(total_gain) + 1)
    return Importance(source, total_gain, share, rank)


def cumulative_share(share: FloatArray) -> FloatArray:
    """Return the share of the largest factor, of the two largest, and so on."""
    return np.cumsum(np.sort(share)[::-1])


def factors_for(share: FloatArray, part: float) -> int:
    """Return how many of the largest factors hold ``part`` of all gain; 0 where all of them together do not.

    Dimensions without a name can have the rest of the gain.
    """
    count = int(np.searchsorted(cumulative_share(share), part - LARGEST_ROUNDING)) + 1
    return count if share.sum() > 0 and count <= len(share) else 0


def standings(taus: Sequence[float | None], share: FloatArray) -> tuple[Standing, ...]:
    """Return where each factor stands by the group's own quartiles of gain and of absolute tau.

    Heavy: gain in the upper quarter with an absolute tau in the lower quarter (a missing tau counts as none). Unused:
    the other way round. Where all gains or all taus are one number, nothing stands out.
    """
    strength = np.nan_to_num(np.abs(valid_taus(taus)))
    if not len(strength) or share.sum() <= 0:
        return (Standing.ORDINARY,) * len(strength)
    weak, strong = np.quantile(strength, [0.25, 0.75])
    light, heavy = np.quantile(share, [0.25, 0.75])
    return tuple(
        Standing.LEANS_WITHOUT_IC
        if gain >= heavy and gain > light and tau <= weak and tau < strong
        else Standing.STRONG_BUT_UNUSED
        if tau >= strong and tau > weak and gain <= light and gain < heavy
        else Standing.ORDINARY
        for tau, gain in zip(strength, share, strict=True)
    )
