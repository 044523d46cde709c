"""Figures of boosters: xgboost itself says what they must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from mm_core.evaluation.boosters import booster_statistics, flat

ROWS, COLUMNS = 300, 4
GENERATOR = np.random.default_rng(11)
FEATURES = GENERATOR.normal(size=(ROWS, COLUMNS)).astype("float32")
LABEL = FEATURES[:, 0] - 0.5 * FEATURES[:, 1] ** 2 + GENERATOR.normal(scale=0.1, size=ROWS)
CLASSES = np.digitize(LABEL, [-1.0, 0.0, 1.0])
BOTH = np.c_[LABEL, -(LABEL**2)]
CATEGORIES = GENERATOR.integers(0, 6, ROWS)


def _train(rounds: int = 4, label: Any = LABEL, **parameters: object) -> xgboost.Booster:
    return xgboost.train({"nthread": 1, "max_depth": 4, **parameters}, xgboost.DMatrix(FEATURES, label), rounds)


def _train_on_categories() -> xgboost.Booster:
    frame = pd.DataFrame({f"f{column}": FEATURES[:, column] for column in range(COLUMNS)})
    frame["f1"] = pd.Categorical(CATEGORIES)
    data = xgboost.DMatrix(frame, LABEL + CATEGORIES % 2, enable_categorical=True)
    return xgboost.train({"nthread": 1, "max_depth": 4, "max_cat_to_onehot": 2}, data, 4)


TREE_BOOSTERS: dict[str, Callable[[], xgboost.Booster]] = {
    "gbtree": _train,
    "dart": lambda: _train(booster="dart", rate_drop=0.3),
    "multi-class": lambda: _train(label=CLASSES, objective="multi:softprob", num_class=4),
    "parallel trees": lambda: _train(num_parallel_tree=3, subsample=0.5),
    "leaf-wise": lambda: _train(grow_policy="lossguide", max_leaves=9, max_depth=0),
    "pruned": lambda: _train(gamma=5, tree_method="exact"),
    "stumps": lambda: _train(max_depth=1),
    "two targets": lambda: _train(label=BOTH),
    "categorical splits": _train_on_categories,
    "nothing to learn": lambda: _train(label=np.zeros(ROWS)),
    "no rounds": lambda: _train(rounds=0),
}


def _json(booster: xgboost.Booster) -> bytes:
    return bytes(booster.save_raw("json"))


def _in_order(score: Mapping[str, Any]) -> list[float]:
    return [float(score.get(f"f{dim}", 0.0)) for dim in range(COLUMNS)]


def _depths_and_leaves(booster: xgboost.Booster) -> tuple[list[int], list[int], list[float]]:
    frame = booster.trees_to_dataframe()
    depths, leaves = [], []
    for _, tree in frame.groupby("Tree"):
        depth = {"": 0}
        parents = {row.Yes: row.ID for row in tree.itertuples() if row.Feature != "Leaf"}
        parents |= {row.No: row.ID for row in tree.itertuples() if row.Feature != "Leaf"}
        for node in tree.ID:  # a parent stands above its children
            depth[node] = depth[parents[node]] + 1 if node in parents else 0
        depths.append(max(depth.values()))
        leaves.append(int((tree.Feature == "Leaf").sum()))
    return depths, leaves, frame[frame.Feature == "Leaf"].Gain.tolist()


@pytest.mark.parametrize("train", TREE_BOOSTERS.values(), ids=TREE_BOOSTERS)
def test_importance_is_what_xgboost_says(train: Callable[[], xgboost.Booster]) -> None:
    booster = train()
    found = booster_statistics(_json(booster))
    for name, kind in (("gain", "gain"), ("total_gain", "total_gain"), ("cover", "cover"), ("splits", "weight")):
        expected = _in_order(booster.get_score(importance_type=kind))
        assert getattr(found, name) == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize("train", TREE_BOOSTERS.values(), ids=TREE_BOOSTERS)
def test_depths_leaves_and_leaf_values_are_those_of_xgboosts_own_frame(train: Callable[[], xgboost.Booster]) -> None:
    booster = train()
    found = booster_statistics(_json(booster))
    depths, leaves, values = _depths_and_leaves(booster) if booster.num_boosted_rounds() else ([], [], [])
    assert found.depths.tolist() == depths
    assert found.leaves.tolist() == leaves
    assert sorted(found.leaf_values) == pytest.approx(sorted(values), rel=1e-5)


def test_a_leaf_that_holds_a_vector_gives_each_of_its_numbers() -> None:
    booster = _train(rounds=1, label=BOTH, multi_strategy="multi_output_tree", max_depth=1, base_score=0.0)
    found = booster_statistics(_json(booster))
    predicted = booster.predict(xgboost.DMatrix(FEATURES))
    assert found.leaves.tolist() == [2]
    assert sorted(found.leaf_values) == pytest.approx(sorted(np.unique(predicted).tolist()), rel=1e-5)
    assert found.total_gain == pytest.approx(_in_order(booster.get_score(importance_type="total_gain")), rel=1e-5)


@pytest.mark.parametrize(
    ("label", "more"),
    [(LABEL, {}), (CLASSES, {"objective": "multi:softprob", "num_class": 4}), (BOTH, {})],
    ids=["one output", "four classes", "two targets"],
)
def test_a_linear_booster_has_no_trees_and_the_sum_of_its_absolute_weights_for_gain(label: Any, more: Any) -> None:
    booster = xgboost.train({"booster": "gblinear", "nthread": 1, **more}, xgboost.DMatrix(FEATURES, label), 4)
    found = booster_statistics(_json(booster))
    score = booster.get_score(importance_type="weight")
    expected = [np.abs(score[f"f{dim}"]).sum() for dim in range(COLUMNS)]
    assert found.kind == "gblinear"
    assert found.gain == pytest.approx(expected, rel=1e-5)
    assert found.total_gain == pytest.approx(expected, rel=1e-5)
    assert found.cover.tolist() == found.splits.tolist() == [0] * COLUMNS
    assert len(found.depths) == len(found.leaves) == len(found.leaf_values) == 0


def test_parameters_are_the_boosters_own_by_dotted_name() -> None:
    booster = _train(objective="reg:pseudohubererror", huber_slope=2.5)
    booster.set_attr(best_iteration="3")
    found = booster_statistics(_json(booster)).parameters
    assert found["booster"] == "gbtree"
    assert found["objective.name"] == "reg:pseudohubererror"
    assert found["objective.pseudo_huber_param.huber_slope"] == "2.5"
    assert found["learner.num_feature"] == str(COLUMNS)
    assert found["attribute.best_iteration"] == "3"


def test_flat_writes_text_as_it_is_and_anything_else_as_json() -> None:
    nested = {"a": {"b": "x", "c": {"d": [1, 2]}}, "e": None, "f": 0.5, "g": True}
    assert flat(nested) == {"a.b": "x", "a.c.d": "[1,2]", "e": "null", "f": "0.5", "g": "true"}
    assert flat({"a": 1}, "config") == {"config.a": "1"}
    assert flat({}) == {}
