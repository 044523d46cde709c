"""Importance: shares, ranks and how gain stands against IC, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.groups import Group, TrainingInfo
from mm_core.evaluation.boosters import BoosterStatistics
from mm_core.evaluation.importance import (
    Standing,
    cumulative_share,
    factors_for,
    group_importance,
    importance,
    standings,
)


def _group(*names: str, **known: float | None) -> Group:
    table = FactorTable(names, (None,) * len(names))
    training = TrainingInfo(feature_importance=known)
    return Group("k", "S", "r", (), table, IcTable(), training, None, None, (), "")


def _statistics(*total_gain: float) -> BoosterStatistics:
    none, whole = np.zeros(len(total_gain)), np.zeros(len(total_gain), np.int64)
    return BoosterStatistics("gbtree", whole, whole, none, none, np.array(total_gain, float), none, whole, {})


def test_shares_sum_to_one_and_the_largest_gain_has_rank_one() -> None:
    found = importance("booster", np.array([1.0, 6.0, 0.0, 3.0]))
    assert found.share.tolist() == pytest.approx([0.1, 0.6, 0.0, 0.3])
    assert found.rank.tolist() == [3, 1, 4, 2]


def test_equal_gains_are_ranked_in_dimension_order() -> None:
    assert importance("booster", np.array([2.0, 5.0, 2.0, 5.0])).rank.tolist() == [3, 1, 4, 2]


def test_without_any_gain_all_shares_are_zero() -> None:
    found = importance("booster", np.zeros(3))
    assert found.share.tolist() == [0.0, 0.0, 0.0]
    assert found.rank.tolist() == [1, 2, 3]
    assert len(importance("booster", np.zeros(0)).share) == 0


def test_a_gain_below_zero_has_no_share_and_keeps_its_rank_and_its_number() -> None:
    found = importance("training info", np.array([-2.0, 1.0, 3.0, -1.0]))
    assert found.share.tolist() == pytest.approx([0.0, 0.25, 0.75, 0.0])
    assert found.rank.tolist() == [4, 2, 1, 3]
    assert found.total_gain.tolist() == [-2.0, 1.0, 3.0, -1.0]


@given(arrays(float, st.integers(1, 30), elements=st.floats(-1e308, 1e308)))
def test_shares_are_parts_of_one_and_ranks_a_permutation_whatever_the_gains(gains: np.ndarray) -> None:
    found = importance("training info", gains)
    assert ((found.share >= 0) & (found.share <= 1)).all()
    assert found.share.sum() == pytest.approx(1.0 if gains.max() > 0 else 0.0)
    assert sorted(found.rank) == list(range(1, len(gains) + 1))
    by_rank = gains[np.argsort(found.rank)]
    assert (by_rank[:-1] >= by_rank[1:]).all()


def test_the_booster_is_believed_before_the_training_info() -> None:
    found = group_importance(_group("a", "b", a=1.0, b=0.0), _statistics(1.0, 3.0))
    assert found is not None
    assert found.source == "booster"
    assert found.share.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(("gains", "expected"), [((4.0,), [4.0, 0.0]), ((4.0, 1.0, 9.0), [4.0, 1.0]), ((), [0.0, 0.0])])
def test_importance_has_one_entry_a_factor_whatever_the_boosters_dimension(
    gains: tuple[float, ...], expected: list[float]
) -> None:
    found = group_importance(_group("a", "b"), _statistics(*gains))
    assert found is not None
    assert found.total_gain.tolist() == expected


def test_the_training_info_is_asked_by_factor_name_then_by_xgboosts_name() -> None:
    found = group_importance(_group("a", "b", "f0", "c", f0=7.0, a=1.0, f1=2.0, f3=None), None)
    assert found is not None
    assert found.source == "training info"
    assert found.total_gain.tolist() == [1.0, 2.0, 7.0, 0.0]


@pytest.mark.parametrize("known", [{}, {"other": 1.0}, {"a": None}])
def test_importance_that_nobody_knows_is_none(known: dict[str, float | None]) -> None:
    assert group_importance(_group("a", "b", **known), None) is None


def test_a_group_without_factors_has_no_importance_to_tell() -> None:
    assert group_importance(_group(a=1.0), None) is None
    found = group_importance(_group(), _statistics(1.0))
    assert found is not None
    assert len(found.share) == 0


def test_cumulative_share_begins_with_the_largest() -> None:
    assert cumulative_share(np.array([0.25, 0.5, 0.25])).tolist() == [0.5, 0.75, 1.0]
    assert cumulative_share(np.zeros(0)).tolist() == []


@pytest.mark.parametrize(("part", "count"), [(0.1, 1), (0.5, 1), (0.51, 2), (0.8, 2), (0.9, 3), (1.0, 3), (1.5, 0)])
def test_factors_for_counts_the_fewest_that_hold_the_part(part: float, count: int) -> None:
    assert factors_for(np.array([0.3, 0.0, 0.5, 0.2]), part) == count


def test_factors_for_is_not_misled_by_rounding() -> None:
    assert factors_for(np.full(10, 0.1), 0.3) == 3
    assert factors_for(np.full(10, 0.1), 0.8) == 8
    assert factors_for(np.full(100_000, 1 / 100_000), 1.0) == 100_000


def test_no_number_of_factors_holds_what_dimensions_without_a_name_have() -> None:
    found = importance("booster", np.array([3.0, 1.0]), gain_of_others=6.0)  # shares 0.3 and 0.1
    assert [factors_for(found.share, part) for part in (0.3, 0.4, 0.5)] == [1, 2, 0]


def test_no_factor_holds_a_part_of_no_gain() -> None:
    assert factors_for(np.zeros(3), 0.8) == 0
    assert factors_for(np.zeros(0), 0.8) == 0


def test_heavy_without_ic_and_strong_but_unused_stand_out_by_quartiles() -> None:
    # |tau| 0.01 0.02 0.03 0.04 0.20: quartiles 0.02 and 0.04; share 0.00 0.10 0.15 0.25 0.50: quartiles 0.10 and 0.25
    found = standings([0.01, 0.02, -0.03, 0.04, -0.20], np.array([0.5, 0.25, 0.15, 0.0, 0.1]))
    heavy, unused, ordinary = Standing.LEANS_WITHOUT_IC, Standing.STRONG_BUT_UNUSED, Standing.ORDINARY
    assert found == (heavy, heavy, ordinary, unused, unused)


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_tau_counts_as_no_strength(missing: float | None) -> None:
    found = standings([missing, 0.1, 0.2, 0.3], np.array([0.7, 0.1, 0.1, 0.1]))
    assert found[0] is Standing.LEANS_WITHOUT_IC


@pytest.mark.parametrize(
    ("taus", "share"),
    [
        ([], []),
        ([0.3], [1.0]),
        ([0.1, 0.1, 0.1], [0.8, 0.1, 0.1]),
        ([None, None], [0.9, 0.1]),
        ([0.1, 0.2, 0.3], [0.0, 0.0, 0.0]),
        ([0.0, 0.1, 0.2], [1 / 3, 1 / 3, 1 / 3]),
    ],
    ids=["no factors", "one", "equal taus", "no taus", "no gain", "equal gains"],
)
def test_nothing_stands_out_where_there_is_no_upper_and_lower_quarter(
    taus: list[float | None], share: list[float]
) -> None:
    assert set(standings(taus, np.array(share, float))) <= {Standing.ORDINARY}
    assert len(standings(taus, np.array(share, float))) == len(taus)
