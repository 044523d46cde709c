"""The check in the child tells boosters apart, whatever their numbers' size."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xgboost
from onnxmltools.convert import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from mm_core.conversion import onnx_child

ROWS = np.random.default_rng(1).normal(size=(400, 3)).astype("float32")
PRICES = (ROWS * 2000 + 40000).astype("float32")


def _booster(rows: np.ndarray, label: np.ndarray, rounds: int = 10, **parameters: object) -> xgboost.Booster:
    return xgboost.train({"nthread": 1, **parameters}, xgboost.DMatrix(rows, label), rounds)


def _check(booster: xgboost.Booster, other: xgboost.Booster, objective: str = "reg:squarederror") -> None:
    """Check the ONNX form of ``other`` against ``booster``."""
    data = convert_xgboost(other, initial_types=[("input", FloatTensorType([None, 3]))]).SerializeToString()
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    onnx_child.check_predictions(booster, data, onnx_child._rows(trees, 3), onnx_child._reach(trees), objective)


@pytest.mark.parametrize("size", [1e-7, 1e-4, 1.0, 1e6])
def test_the_opposite_sign_is_noticed_at_any_size_of_labels(size: float) -> None:
    label = ROWS[:, 0] * size
    booster = _booster(ROWS, label, base_score=0)
    _check(booster, booster)
    with pytest.raises(onnx_child.Refused, match="predicts otherwise"):
        _check(booster, _booster(ROWS, -label, base_score=0))


def test_small_returns_on_the_old_base_score_of_a_half_are_told_apart() -> None:
    label = ROWS[:, 0] * 1e-3
    booster = _booster(ROWS, label, rounds=300, base_score=0.5)
    _check(booster, booster)
    with pytest.raises(onnx_child.Refused):
        _check(booster, _booster(ROWS, -label, rounds=300, base_score=0.5))


def test_a_threshold_that_is_off_by_one_float_is_noticed() -> None:
    booster = _booster(PRICES, (PRICES[:, 0] > 41000) * 1.0, rounds=1, max_depth=1)
    document = json.loads(booster.save_raw("json"))
    conditions = document["learner"]["gradient_booster"]["model"]["trees"][0]["split_conditions"]
    conditions[0] = float(np.nextafter(np.float32(conditions[0]), np.float32("inf")))
    moved = xgboost.Booster()
    moved.load_model(bytearray(json.dumps(document), "utf-8"))
    _check(booster, booster)
    with pytest.raises(onnx_child.Refused):
        _check(booster, moved)


def test_a_missing_value_that_goes_the_other_way_is_noticed() -> None:
    booster = _booster(ROWS, (ROWS[:, 0] > 0) * 1.0, rounds=1, max_depth=1)
    document = json.loads(booster.save_raw("json"))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["default_left"][0] = 1 - tree["default_left"][0]
    turned = xgboost.Booster()
    turned.load_model(bytearray(json.dumps(document), "utf-8"))
    with pytest.raises(onnx_child.Refused):
        _check(booster, turned)


def test_rows_are_the_same_every_time() -> None:
    trees = json.loads(_booster(PRICES, ROWS[:, 0]).save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    np.testing.assert_array_equal(onnx_child._rows(trees, 3), onnx_child._rows(trees, 3))


def test_the_reach_is_the_sum_of_the_largest_leaves() -> None:
    trees = [
        {"left_children": [1, -1, -1], "split_conditions": [99.0, 0.25, -0.5]},
        {"left_children": [-1], "split_conditions": [0.125]},
    ]
    assert onnx_child._reach(trees) == 0.625
