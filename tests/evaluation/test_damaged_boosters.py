"""Models that are damaged: a figure is right or the model is refused, and quickly."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_core.errors import BoosterNotUnderstood
from mm_core.evaluation.boosters import booster_statistics


def _document(**columns: Any) -> dict[str, Any]:
    """A model of two dimensions with one tree: dimension 1 at the root, two leaves."""
    tree = {
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [1, 0, 0],
        "split_conditions": [0.5, -1.0, 1.0],
        "loss_changes": [8.0, 0.0, 0.0],
        "sum_hessian": [10.0, 4.0, 6.0],
    }
    learner = {
        "gradient_booster": {"name": "gbtree", "model": {"trees": [tree | columns]}},
        "learner_model_param": {"num_feature": "2"},
        "objective": {"name": "reg:squarederror"},
    }
    return {"learner": learner, "version": [3, 2, 0]}


def _features(number: Any) -> dict[str, Any]:
    document = _document()
    document["learner"]["learner_model_param"]["num_feature"] = number
    return document


def _linear(weights: list[float], features: str) -> dict[str, Any]:
    document = _features(features)
    document["learner"]["gradient_booster"] = {"name": "gblinear", "model": {"weights": weights}}
    return document


def test_the_smallest_tree_gives_the_figures_worked_out_by_hand() -> None:
    found = booster_statistics(json.dumps(_document()).encode())
    assert found.depths.tolist() == [1]
    assert found.leaves.tolist() == [2]
    assert found.leaf_values.tolist() == [-1.0, 1.0]
    assert found.gain.tolist() == found.total_gain.tolist() == [0.0, 8.0]
    assert found.cover.tolist() == [0.0, 10.0]
    assert found.splits.tolist() == [0, 1]


BIG = 1.7e308
COLUMNS = tuple(_document()["learner"]["gradient_booster"]["model"]["trees"][0])
DAMAGED: dict[str, Any] = {
    "a child is its own parent": _document(left_children=[0, -1, -1]),
    "two children are one node": _document(right_children=[1, -1, -1]),
    "children in a circle": _document(left_children=[1, 0, -1], right_children=[2, 2, -1]),
    "a child beyond the nodes": _document(right_children=[3, -1, -1]),
    "a child before the nodes": _document(right_children=[-7, -1, -1]),
    "a child of 80 bits": _document(right_children=[1 << 80, -1, -1]),
    "a right child is missing": _document(right_children=[-1, -1, -1]),
    "a dimension beyond the model": _document(split_indices=[2, 0, 0]),
    "a negative dimension": _document(split_indices=[-1, 0, 0]),
    "columns of several lengths": _document(loss_changes=[8.0, 0.0]),
    "no nodes": _document(**{name: [] for name in COLUMNS}),
    "text for numbers": _document(loss_changes=["8", "0", "0"]),
    "null for a column": _document(sum_hessian=None),
    "gains whose sum is no number": _document(
        left_children=[1, -1, 3, -1, -1], right_children=[2, -1, 4, -1, -1], split_indices=[1, 0, 1, 0, 0],
        split_conditions=[0.0] * 5, loss_changes=[BIG] * 5, sum_hessian=[1.0] * 5,
    ),
    "no dimensions": _features("0"),
    "fewer than no dimensions": _features("-2"),
    "dimensions that take all memory": _features("1000000000000"),
    "dimensions of 5000 digits": _features("9" * 5000),
    "dimensions as a list": _features([2]),
    "dimensions as null": _features(None),
    "linear without weights": _linear([], "2"),
    "linear with a weight too many": _linear([1.0] * 4, "2"),
    "linear with more dimensions than memory": _linear([], "1000000000000"),
    "linear weights whose sum is no number": _linear([BIG] * 6, "2"),
    "a bare list": [],
    "null": None,
    "an empty object": {},
}  # fmt: skip


@pytest.mark.timeout(10)
@pytest.mark.parametrize("document", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_model_is_not_understood(document: Any) -> None:
    with pytest.raises(BoosterNotUnderstood, match=r"Train the model again|Bots are served all the same"):
        booster_statistics(json.dumps(document).encode())


def test_nesting_of_any_depth_is_read_or_refused() -> None:
    whole = json.dumps(_document())
    for depth in [*range(800, 1000), 5000, 200_000]:  # Python's own limit is 1000 calls, some of which pytest holds
        text = whole.replace('"reg:squarederror"', '{"a":' * depth + "1" + "}" * depth)
        _read_or_refused(text.encode())


@settings(deadline=1000)
@given(st.data())
def test_any_cut_or_changed_byte_is_read_or_refused(data: st.DataObject) -> None:
    whole = json.dumps(_document()).encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BoosterNotUnderstood):
        booster_statistics(whole[:at])
    _read_or_refused(whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + 1 :])


_INTEGERS = st.integers(-2, 6) | st.integers(-(2**70), 2**70)
_NUMBERS = _INTEGERS | st.floats(allow_nan=False, allow_infinity=False)
_ANY = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=1000)
@given(st.data())
def test_trees_of_any_numbers_are_read_with_whole_figures_or_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 6))
    integers = st.lists(_INTEGERS, min_size=size, max_size=size)
    numbers = st.lists(_NUMBERS, min_size=size, max_size=size)
    kinds = [integers] * 3 + [numbers] * 3
    columns = {name: data.draw(kind | _ANY if size % 2 else kind) for name, kind in zip(COLUMNS, kinds, strict=True)}
    _read_or_refused(json.dumps(_document(**columns)).encode())


@settings(deadline=1000)
@given(st.data())
def test_a_part_of_any_other_type_is_read_or_refused(data: st.DataObject) -> None:
    document = copy.deepcopy(_document())
    place: Any = document
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(_ANY)
    _read_or_refused(json.dumps(document).encode())


def _read_or_refused(model_json: bytes) -> None:
    try:
        found = booster_statistics(model_json)
    except BoosterNotUnderstood:
        return
    assert found.leaves.sum() == found.splits.sum() + len(found.leaves)  # a binary tree has a leaf more than splits
    assert np.isfinite([*found.gain, *found.total_gain, *found.cover]).all()
