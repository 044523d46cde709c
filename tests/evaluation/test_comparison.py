"""Two groups and two scans side by side: every difference counted by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.groups import Group, ModelSummary, Scan, TrainingInfo
from mm_core.evaluation.comparison import (
    Change,
    FactorShift,
    GroupShift,
    ParameterPair,
    Side,
    factor_shifts,
    group_parameters,
    group_shifts,
    jaccard,
    parameter_pairs,
)
from mm_core.evaluation.importance import importance

MODEL = ModelSummary("x_model.json", "0" * 64, 1, 7, "reg:squarederror", 30, 2, (3, 2, 0))
FILE = ModelFile(FileRole.MODEL_JSON, "a/x_model.json", 10, 1, 1, 1)


def _group(taus: Mapping[str, float | None], symbol: str = "BTC", key: str = "BTC_r", **parts: object) -> Group:
    table = FactorTable(tuple(taus), tuple(taus.values()))
    group = Group(key, symbol, "r", (FILE,), table, IcTable(), TrainingInfo(), None, None, (), "")
    return replace(group, **parts)  # type: ignore[arg-type]


def _side(taus: Mapping[str, float | None], *gains: float) -> Side:
    return Side(_group(taus), importance("booster", np.array(gains)) if gains else None)


def _scan(*groups: Group) -> Scan:
    return Scan("", {group.group_key: group for group in groups})


def test_factors_are_kept_moved_lost_or_gained() -> None:
    shifts = factor_shifts(_side({"a": 0.1, "b": 0.2, "c": None}), _side({"a": 0.3, "c": 0.5, "d": 0.4}))
    assert [(shift.factor, shift.change, shift.dim_left, shift.dim_right) for shift in shifts] == [
        ("a", Change.KEPT, 0, 0),
        ("b", Change.LOST, 1, None),
        ("c", Change.MOVED, 2, 1),
        ("d", Change.GAINED, None, 2),
    ]
    assert [shift.tau_change for shift in shifts] == [pytest.approx(0.2), None, None, None]


def test_changes_are_right_minus_left_and_none_where_a_side_does_not_know() -> None:
    known = FactorShift("a", Change.KEPT, 0, 0, 0.25, 0.0, 0.5, 0.75)
    assert (known.tau_change, known.share_change) == (-0.25, 0.25)
    assert replace(known, tau_right=None).tau_change is None
    assert replace(known, share_left=None).share_change is None


def test_shares_of_other_sources_stand_side_by_side_and_are_not_subtracted() -> None:
    told = Side(_group({"a": 0.1, "b": 0.2}), importance("training info", np.array([1.0, 3.0])))
    read = _side({"a": 0.1, "b": 0.2}, 1.0, 1.0)
    (a, _) = factor_shifts(told, read)
    assert (a.share_left, a.share_right, a.share_change) == (0.25, 0.5, None)
    (a, _) = factor_shifts(told, told)
    assert a.share_change == 0.0


def test_shares_of_gain_stand_beside_their_factor() -> None:
    (a, b) = factor_shifts(_side({"a": 0.1, "b": 0.2}, 1.0, 3.0), _side({"b": 0.2, "a": None}, 1.0, 1.0))
    assert (a.share_left, a.share_right, b.share_left, b.share_right) == (0.25, 0.5, 0.75, 0.5)
    (only,) = factor_shifts(_side({"a": 0.1}), _side({"a": 0.1}, 2.0))
    assert (only.share_left, only.share_right) == (None, 1.0)


def test_sides_without_factors_have_no_shifts() -> None:
    assert factor_shifts(_side({}), _side({})) == ()
    assert [shift.change for shift in factor_shifts(_side({}), _side({"a": 0.1}))] == [Change.GAINED]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [("abc", "bcd", 0.5), ("ab", "ab", 1.0), ("ab", "cd", 0.0), ("aab", "ab", 1.0), ("", "a", 0.0), ("", "", None)],
)
def test_jaccard_is_common_names_over_all_names(left: str, right: str, expected: float | None) -> None:
    assert jaccard(left, right) == expected
    assert jaccard(right, left) == expected


def test_parameters_are_paired_by_name() -> None:
    assert parameter_pairs({"eta": "0.1", "b": "1"}, {"eta": "0.3", "a": "2"}) == (
        ParameterPair("a", None, "2"),
        ParameterPair("b", "1", None),
        ParameterPair("eta", "0.1", "0.3"),
    )
    assert parameter_pairs({}, {}) == ()


def test_a_group_tells_its_training_and_its_model() -> None:
    training = TrainingInfo(samples=0, seconds=1.5, end_date="2024-05-01", config={"xgb": {"eta": 0.1}, "tag": "x"})
    assert group_parameters(_group({"a": 0.1}, training=training, model=MODEL)) == {
        "training.end": "2024-05-01",
        "training.samples": "0",
        "training.seconds": "1.5",
        "model.objective": "reg:squarederror",
        "model.trees": "30",
        "model.parallel_trees": "2",
        "model.feature_dim": "7",
        "model.xgboost": "3.2.0",
        "config.xgb.eta": "0.1",
        "config.tag": "x",
    }


def test_a_group_without_training_and_model_tells_its_dimensions_alone() -> None:
    assert group_parameters(_group({"a": 0.1, "b": None})) == {"model.feature_dim": "2"}


def test_symbols_are_gained_lost_and_kept_in_lexical_order_without_case() -> None:
    left = _scan(_group({"a": 0.1}, "eth", "1"), _group({"a": 0.1}, "btc", "2"))
    right = _scan(_group({"a": 0.1}, "SOL", "3"), _group({"a": 0.1}, "BTC", "4"))
    shifts = group_shifts(left, right)
    assert [(shift.symbol, shift.change) for shift in shifts] == [
        ("BTC", Change.KEPT),
        ("eth", Change.LOST),
        ("SOL", Change.GAINED),
    ]
    assert shifts[1] == GroupShift("eth", Change.LOST, True, 0, 0, 0, None, None)


def test_a_kept_symbol_counts_its_factors_and_its_taus() -> None:
    left = _group({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": None, "lost": 0.9})
    right = _group({"b": 0.1, "a": 0.2, "c": 0.3, "d": 0.6, "e": 0.5, "x": 0.7, "y": 0.8})
    (shift,) = group_shifts(_scan(left), _scan(right))
    assert (shift.gained, shift.lost, shift.moved) == (2, 1, 2)
    assert shift.mean_tau_change == pytest.approx((0.1 + 0.1 + 0.0 + 0.2) / 4)
    assert shift.kendall == pytest.approx((5 - 1) / 6)  # of the six pairs of a, b, c, d only a and b changed order


def test_common_factors_without_taus_have_no_change_and_no_agreement() -> None:
    (shift,) = group_shifts(_scan(_group({"a": None})), _scan(_group({"a": 0.1})))
    assert (shift.mean_tau_change, shift.kendall) == (None, None)


def test_a_tau_that_can_be_no_correlation_changes_into_nothing() -> None:
    known = FactorShift("a", Change.KEPT, 0, 0, 0.25, 1.5, None, None)
    assert (known.tau_right, known.tau_change) == (1.5, None)
    (shift,) = group_shifts(_scan(_group({"a": 0.1, "b": 7.0, "c": 0.2})), _scan(_group({"a": 0.2, "b": 0.3, "c": -2})))
    assert shift.mean_tau_change == pytest.approx(0.1)
    group = _group({"a": 7.0, "b": -3.0, "c": 2.0})
    (shared,) = group_shifts(_scan(group), _scan(group))
    assert (shared.mean_tau_change, shared.kendall) == (None, None)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"path": "b/x_model.json"}, False),
        ({"size_bytes": 11}, True),
        ({"modified_ns": 2}, True),
        ({"inode": 9}, False),
    ],
)
def test_files_changed_when_size_or_time_did_and_not_when_they_moved(
    changed: dict[str, object], expected: bool
) -> None:
    left, right = _group({"a": 0.1}), _group({"a": 0.1}, files=(replace(FILE, **changed),))  # type: ignore[arg-type]
    (shift,) = group_shifts(_scan(left), _scan(right))
    assert shift.files_changed is expected


def test_a_file_more_is_a_change() -> None:
    more = (FILE, replace(FILE, role=FileRole.IC))
    assert group_shifts(_scan(_group({})), _scan(_group({}, files=more)))[0].files_changed


@pytest.mark.parametrize(
    "taus",
    [{}, {"a": None}, {"a": 0.1, "b": 0.2}, {"a": 0.1, "b": 0.1, "c": 0.1}, {"a": 0.1, "b": 0.1, "c": 0.3, "d": None}],
)
def test_a_group_that_both_scans_share_compares_as_one_that_was_read_again(taus: dict[str, float | None]) -> None:
    group = _group(taus)
    (shared,) = group_shifts(_scan(group), _scan(group))
    (again,) = group_shifts(_scan(group), _scan(replace(group)))
    assert shared.kendall == (again.kendall and pytest.approx(again.kendall))
    assert replace(shared, kendall=None) == replace(again, kendall=None)
    assert not shared.files_changed


def test_of_several_groups_of_a_symbol_the_one_that_stands_for_it_is_compared() -> None:
    ready, newer = _group({"a": 0.1}, key="1", model=MODEL), _group({"b": 0.1, "c": 0.2}, key="2")
    (shift,) = group_shifts(_scan(ready, newer), _scan(_group({"a": 0.1}, "btc", "3")))
    assert (shift.symbol, shift.gained, shift.lost) == ("btc", 0, 0)


def test_empty_scans_have_no_shifts() -> None:
    assert group_shifts(Scan(""), Scan("")) == ()
