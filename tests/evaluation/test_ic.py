"""IC across groups: matrices, orders, consistency, agreement; figures by hand, by pandas and by scipy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.groups import Group, TrainingInfo
from mm_core.evaluation.ic import (
    GroupName,
    IcMatrix,
    TauSummary,
    clustered_order,
    factor_consistency,
    family_means,
    ic_matrix,
    kendall_agreement,
    mean_order,
    rank_agreement,
    row_means,
    strength_ranks,
    summarize,
)

NAN = math.nan
TAUS = st.sampled_from([NAN, 0.0, 0.1, -0.1, 0.3]) | st.floats(-1, 1)
TABLES = arrays(float, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6), elements=TAUS)


def _group(factors: Mapping[str, float | None], ic: Sequence[tuple[str, str, str, float | None]] = ()) -> Group:
    table = FactorTable(tuple(factors), tuple(factors.values()))
    columns = zip(*ic, strict=True) if ic else ((), (), (), ())
    return Group("BTC_r", "BTC", "r", (), table, IcTable(*columns), TrainingInfo(), None, None, (), "")


def _matrix(taus: Sequence[Sequence[float]], *factors: str) -> IcMatrix:
    cells = np.array(taus, float)
    names = factors or tuple(f"x{row}" for row in range(len(cells)))
    groups = tuple(GroupName("m", f"S{column}", "r", f"S{column}_r") for column in range(cells.shape[1]))
    return IcMatrix(names, groups, cells, np.ones(cells.shape, bool))


def _same(found: np.ndarray, expected: Sequence[object] | np.ndarray | pd.Series) -> None:
    np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-9, atol=1e-12)


def test_the_matrix_has_every_factor_once_in_first_seen_order_and_nan_where_a_group_has_none() -> None:
    found = ic_matrix([("one", _group({"b": 0.2, "a": None})), ("two", _group({"a": 0.1, "c": -0.3}))])
    assert found.factors == ("b", "a", "c")
    assert found.groups == (GroupName("one", "BTC", "r", "BTC_r"), GroupName("two", "BTC", "r", "BTC_r"))
    _same(found.taus, [[0.2, NAN], [NAN, 0.1], [NAN, -0.3]])
    assert found.selected.tolist() == [[True, False], [True, True], [False, True]]


def test_factors_of_the_ic_table_that_were_not_selected_have_a_row_of_their_own() -> None:
    ic = [("BTC", "z", "r", 0.4), ("BTC", "a", "r", 0.1)]
    found = ic_matrix([("m", _group({"a": 0.1}, ic))])
    assert dict(zip(found.factors, found.taus[:, 0], strict=True)) == {"z": 0.4, "a": 0.1}
    assert dict(zip(found.factors, found.selected[:, 0], strict=True)) == {"z": False, "a": True}


@pytest.mark.parametrize(
    ("ic", "tau"),
    [
        ([("ETH", "z", "r", 0.1), ("btc", "z", "r", 0.2)], 0.2),
        ([("BTC", "z", "other", 0.1), ("BTC", "z", "r", 0.2)], 0.2),
        ([("BTC", "z", "r", 0.1), ("BTC", "z", "r", 0.2)], 0.1),
        ([("ETH", "z", "r", 0.1)], 0.1),
        ([("BTC", "z", "r", None), ("ETH", "z", "r", 0.2)], NAN),
    ],
    ids=["symbol without case", "return", "first of equals", "other symbol", "own row without a number"],
)
def test_the_row_of_the_groups_own_symbol_and_return_counts(
    ic: list[tuple[str, str, str, float | None]], tau: float
) -> None:
    found = ic_matrix([("m", _group({"a": 0.9}, ic))])
    _same(found.taus[found.factors.index("z")], [tau])


def test_a_group_with_fewer_ic_rows_than_factors_keeps_both_kinds() -> None:
    found = ic_matrix([("m", _group({"a": 0.1, "b": None, "c": None}, [("BTC", "z", "r", 0.4)]))])
    assert set(found.factors) == {"a", "b", "c", "z"}
    assert int(found.selected.sum()) == 3


def test_no_groups_and_groups_without_factors_make_empty_matrices() -> None:
    assert ic_matrix([]).taus.shape == (0, 0)
    bare = ic_matrix([("m", _group({})), ("m", _group({}))])
    assert bare.taus.shape == bare.selected.shape == (0, 2)


def test_a_part_has_the_rows_and_columns_in_the_order_asked_for() -> None:
    whole = _matrix([[1, 2], [3, 4], [5, 6]])
    part = whole.part([2, 0], np.array([1]))
    assert part.factors == ("x2", "x0")
    assert part.groups == (whole.groups[1],)
    assert part.taus.tolist() == [[6.0], [2.0]]
    assert whole.part([], []).taus.shape == (0, 0)
    assert whole.part([], [0]).selected.shape == (0, 1)


def test_mean_order_goes_from_the_highest_mean_to_rows_without_a_number() -> None:
    assert mean_order(np.array([[NAN, NAN], [-0.2, NAN], [0.1, 0.3], [0.2, 0.2]])).tolist() == [2, 3, 1, 0]


def test_clustered_order_puts_like_rows_side_by_side() -> None:
    order = clustered_order(np.array([[0.5, 0.5], [-0.5, -0.5], [0.5, 0.4], [-0.5, NAN], [-0.5, -0.4]])).tolist()
    assert abs(order.index(0) - order.index(2)) == 1
    assert abs(order.index(1) - order.index(4)) == 1


@given(TABLES)
def test_orders_are_permutations_of_the_rows(taus: np.ndarray) -> None:
    rows = list(range(len(taus)))
    assert sorted(mean_order(taus).tolist()) == rows
    assert sorted(clustered_order(taus).tolist()) == rows


@given(TABLES)
def test_row_means_and_consistency_are_those_of_pandas(taus: np.ndarray) -> None:
    frame = pd.DataFrame(taus)
    found = factor_consistency(_matrix(taus))
    _same(row_means(taus), frame.mean(axis=1))
    _same(found.mean, frame.mean(axis=1))
    _same(found.count, frame.count(axis=1))
    _same(found.deviation, frame.std(axis=1))


def test_t_is_that_of_scipy_with_missing_taus_left_out() -> None:
    taus = [[0.1, 0.2, 0.05, NAN], [-0.3, 0.1, -0.2, 0.05], [0.0, -0.1, NAN, NAN]]
    _same(factor_consistency(_matrix(taus)).t, stats.ttest_1samp(taus, 0.0, axis=1, nan_policy="omit").statistic)


def test_t_needs_two_groups_and_is_infinite_where_they_say_the_same() -> None:
    taus = [[0.1, NAN, NAN], [NAN] * 3, [0.1] * 3, [-0.7, -0.7, NAN], [0.0] * 3]
    found = factor_consistency(_matrix(taus))
    _same(found.t, [NAN, NAN, math.inf, -math.inf, NAN])
    _same(found.deviation, [NAN, NAN, 0, 0, 0])


def test_same_sign_is_the_share_of_groups_that_agree_with_the_mean() -> None:
    taus = [[0.3, 0.1, -0.1, NAN], [-0.1, -0.2, -0.3, 0.0], [NAN] * 4, [0.2, NAN, NAN, NAN]]
    found = factor_consistency(_matrix(taus))
    _same(found.same_sign, [2 / 3, 3 / 4, NAN, 1])
    assert found.count.tolist() == [3, 4, 0, 1]
    assert found.selected.tolist() == [4, 4, 4, 4]


def test_no_groups_and_no_factors_have_a_consistency_without_numbers() -> None:
    found = factor_consistency(_matrix(np.zeros((2, 0)).tolist()))
    _same(found.mean, [NAN, NAN])
    _same(found.same_sign, [NAN, NAN])
    assert found.count.tolist() == [0, 0]
    assert len(factor_consistency(ic_matrix([])).t) == 0


def test_a_summary_is_worked_out_from_the_taus_there_are() -> None:
    found = summarize([0.1, None, -0.2, NAN, 0.4, 0.0])  # sorted: -0.2 0.0 0.1 0.4
    assert found.count == 4
    assert found.mean == pytest.approx(0.075)
    assert found.mean_absolute == pytest.approx(0.175)
    assert found.deviation == pytest.approx(math.sqrt((0.275**2 + 0.075**2 + 0.025**2 + 0.325**2) / 3))
    assert found.positive_share == 0.5
    assert found.quartiles == pytest.approx((-0.2, -0.05, 0.05, 0.175, 0.4))


@pytest.mark.parametrize("taus", [[], [None], [NAN, None], np.array([]), np.full(3, NAN)])
def test_a_summary_without_taus_has_a_count_alone(taus: Sequence[float | None]) -> None:
    assert summarize(taus) == TauSummary(0)


def test_one_tau_has_no_deviation() -> None:
    assert summarize([-0.5]) == TauSummary(1, -0.5, 0.5, None, 0.0, (-0.5,) * 5)


def test_families_are_listed_by_size_with_their_mean_in_each_group() -> None:
    taus = [[0.1, NAN], [0.5, 0.2], [0.3, NAN], [0.4, NAN]]
    names, means, sizes = family_means(_matrix(taus, "z_1", "a_1", "z_2", "b_1"))
    assert (names, sizes) == (("z", "a", "b"), (2, 1, 1))
    _same(means, [[0.2, NAN], [0.5, 0.2], [0.4, NAN]])


def test_no_factors_make_no_families() -> None:
    names, means, sizes = family_means(ic_matrix([("m", _group({}))]))
    assert (names, means.shape, sizes) == ((), (0, 1), ())


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(TAUS, TAUS), min_size=3))
def test_agreement_is_that_of_pandas_and_scipy(pairs: dict[str, tuple[float, float]]) -> None:
    frame = pd.DataFrame(pairs.values(), columns=["left", "right"]).dropna()
    found = rank_agreement({n: pair[0] for n, pair in pairs.items()}, {n: pair[1] for n, pair in pairs.items()})
    assert found.common == len(frame)
    if len(frame) < 3 or frame.left.nunique() == 1 or frame.right.nunique() == 1:
        assert (found.kendall, found.spearman) == (None, None)
        return
    assert found.kendall == pytest.approx(stats.kendalltau(frame.left, frame.right).statistic)
    assert found.spearman == pytest.approx(frame.left.rank().corr(frame.right.rank()), abs=1e-9)


def test_agreement_counts_concordant_pairs() -> None:
    left = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "x": 0.9}
    right = {"d": 0.4, "c": 0.2, "b": 0.3, "a": 0.1, "y": 0.9, "z": None}
    found = rank_agreement(left, right)  # b and c are swapped: 5 of 6 pairs agree, squared rank differences sum to 2
    assert found.common == 4
    assert found.kendall == pytest.approx((5 - 1) / 6)
    assert found.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert (found.top, found.overlap) == (5, 0.8)


def test_what_can_be_no_tau_has_no_rank_and_is_not_among_the_strongest() -> None:
    taus = {"a": 0.1, "b": 0.2, "c": 0.3}
    found = rank_agreement({**taus, "wrong": -7.0, "other": 0.4}, {**taus, "wrong": 0.5, "other": 1.5}, top=1)
    assert (found.common, found.kendall, found.overlap) == (3, pytest.approx(1.0), 0.0)
    assert kendall_agreement({**taus, "wrong": -7.0}, {**taus, "wrong": 0.5}) == pytest.approx(1.0)


def test_overlap_compares_the_largest_absolute_taus_whatever_order_they_come_in() -> None:
    left, right = {"a": -0.9, "b": 0.5, "c": 0.1}, {"c": 0.8, "b": 0.2, "a": -0.3}
    assert rank_agreement(left, right, top=2).overlap == 0.5
    equal = {"a": 0.1, "b": -0.1, "c": 0.1}
    assert rank_agreement(equal, dict(reversed(equal.items())), top=1).overlap == 1.0


@pytest.mark.parametrize("side", [{}, {"a": None}, {"a": NAN}])
def test_nothing_agrees_with_a_side_without_taus(side: dict[str, float | None]) -> None:
    found = rank_agreement(side, {"a": 0.1, "b": 0.2})
    assert (found.common, found.kendall, found.spearman, found.top, found.overlap) == (0, None, None, 0, None)


def test_strength_ranks_run_from_the_weakest_to_the_strongest_of_each_column() -> None:
    found = strength_ranks(np.array([[0.1, NAN, 0.2], [-0.3, NAN, 0.2], [0.2, -0.5, -0.4]]))
    _same(found, [[0, NAN, 0.25], [1, NAN, 0.25], [0.5, 1, 1]])


@given(TABLES)
def test_strength_ranks_are_those_of_pandas(taus: np.ndarray) -> None:
    frame = pd.DataFrame(taus).abs()
    count = frame.count()
    expected = (frame.rank() - 1) / (count - 1).where(count > 1)
    _same(strength_ranks(taus), expected.mask(frame.notna() & (count == 1), 1.0))


@given(st.dictionaries(st.sampled_from("abcdef"), TAUS | st.none()), st.dictionaries(st.sampled_from("abcdef"), TAUS))
def test_kendall_alone_is_that_of_the_whole_agreement(
    left: dict[str, float | None], right: dict[str, float | None]
) -> None:
    assert kendall_agreement(left, right) == rank_agreement(left, right).kendall
