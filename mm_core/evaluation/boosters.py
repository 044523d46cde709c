"""What a booster is made of: trees, leaves and gain, read from XGBoost's JSON without xgboost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mm_core import strict_json
from mm_core.errors import BoosterNotUnderstood

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Model = TypeVar("Model")

LEAF = -1
"""What XGBoost writes for the child of a leaf."""

MOST_DIMENSIONS = 1_000_000
"""Arrays are as long as the model says it has dimensions; a damaged number must not take all memory."""


@dataclass(frozen=True, slots=True)
class BoosterStatistics:
    """Figures of a booster: ``depths`` and ``leaves`` by tree, ``leaf_values`` of all trees, importance by dimension.

    ``gain`` is the mean loss reduction of a dimension's splits, ``total_gain`` their sum, ``cover`` the mean sum of
    hessians, ``splits`` their number: XGBoost's importance types ``gain``, ``total_gain``, ``cover`` and ``weight``,
    0 where a dimension is never split. A tree whose leaves hold a vector adds all its numbers to ``leaf_values``.
    ``parameters`` are the booster's own, by dotted name.
    """

    kind: str
    depths: IntArray
    leaves: IntArray
    leaf_values: FloatArray
    gain: FloatArray
    total_gain: FloatArray
    cover: FloatArray
    splits: IntArray
    parameters: Mapping[str, str]


@dataclass(slots=True)
class _Tree:
    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    loss_changes: list[float]
    sum_hessian: list[float]
    leaf_weights: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Trees:
    trees: list[_Tree]


@dataclass(slots=True)
class _Weights:
    weights: list[float]


@dataclass(slots=True)
class _WithModel(Generic[Model]):
    model: Model


@dataclass(slots=True)
class _WithTreeBooster:
    gbtree: _WithModel[_Trees]


@dataclass(slots=True)
class _Part(Generic[Model]):
    gradient_booster: Model


@dataclass(slots=True)
class _Content(Generic[Model]):
    learner: _Part[Model]


@dataclass(slots=True)
class _Named:
    name: str


@dataclass(slots=True)
class _Learner:
    gradient_booster: _Named
    learner_model_param: dict[str, Any]
    objective: dict[str, Any]
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Document:
    learner: _Learner


def booster_statistics(model_json: bytes) -> BoosterStatistics:
    """Return the figures of a booster in XGBoost's JSON form; raise `BoosterNotUnderstood` where it has another form.

    A linear booster has no trees; the absolute weights stand for its gain.
    """
    try:
        with np.errstate(over="raise"):
            return _statistics(model_json)
    except (strict_json.NotJson, KeyError, ValueError, FloatingPointError, RecursionError) as error:
        raise BoosterNotUnderstood(
            f"The model's JSON has a form that cannot be looked into ({error}). Bots are served all the same."
        ) from error


def _statistics(model_json: bytes) -> BoosterStatistics:
    learner = strict_json.decode_as(model_json, _Document).learner
    kind = learner.gradient_booster.name
    dimensions = int(str(learner.learner_model_param["num_feature"]))
    if not 0 <= dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"{dimensions} dimensions, not 0 to {MOST_DIMENSIONS}")
    parameters = _parameters(learner)
    if kind == "gblinear":
        return _linear(_booster(model_json, _WithModel[_Weights]).model.weights, dimensions, parameters)
    if kind == "dart":
        trees = _booster(model_json, _WithTreeBooster).gbtree.model.trees
    else:
        trees = _booster(model_json, _WithModel[_Trees]).model.trees
    return _tree_statistics(kind, trees, dimensions, parameters)


def _booster(model_json: bytes, wanted: type[Model]) -> Model:
    return strict_json.decode_as(model_json, _Content[wanted]).learner.gradient_booster  # type: ignore[valid-type]


def _tree_statistics(kind: str, trees: list[_Tree], dimensions: int, parameters: dict[str, str]) -> BoosterStatistics:
    depths, leaves = np.zeros(len(trees), np.int64), np.zeros(len(trees), np.int64)
    values: list[float] = []
    total_gain, total_cover = np.zeros(dimensions), np.zeros(dimensions)
    splits = np.zeros(dimensions, np.int64)
    for number, tree in enumerate(trees):
        inner, outer, depths[number] = _walk(tree, number, dimensions)
        leaves[number] = len(outer)
        values += tree.leaf_weights or [tree.split_conditions[node] for node in outer]
        at = np.asarray([tree.split_indices[node] for node in inner], np.int64)
        np.add.at(total_gain, at, [tree.loss_changes[node] for node in inner])
        np.add.at(total_cover, at, [tree.sum_hessian[node] for node in inner])
        np.add.at(splits, at, 1)
    counted = np.maximum(splits, 1)
    return BoosterStatistics(
        kind,
        depths,
        leaves,
        np.asarray(values, np.float64),
        total_gain / counted,
        total_gain,
        total_cover / counted,
        splits,
        parameters,
    )


def _walk(tree: _Tree, number: int, dimensions: int) -> tuple[list[int], list[int], int]:
    """Return the split nodes and the leaves that can be reached from the root, and the depth of the deepest leaf."""
    size = len(tree.left_children)
    columns = (tree.right_children, tree.split_indices, tree.split_conditions, tree.loss_changes, tree.sum_hessian)
    if {len(column) for column in columns} != {size}:
        raise BoosterNotUnderstood(f"Tree {number} of the model has columns of several lengths. Train the model again.")
    inner: list[int] = []
    outer: list[int] = []
    seen = bytearray(size)
    depth = 0
    level = [0]
    while level:
        below: list[int] = []
        for node in level:
            if not 0 <= node < size or seen[node]:
                raise BoosterNotUnderstood(
                    f"Tree {number} of the model leads outside its {size} nodes or twice to one of them. "
                    "Train the model again."
                )
            seen[node] = True
            if tree.left_children[node] == LEAF:
                outer.append(node)
                continue
            if not 0 <= tree.split_indices[node] < dimensions:
                raise BoosterNotUnderstood(
                    f"Tree {number} of the model splits dimension {tree.split_indices[node]} of {dimensions}. "
                    "Train the model again."
                )
            inner.append(node)
            below += (tree.left_children[node], tree.right_children[node])
        depth += bool(below)
        level = below
    return inner, outer, depth


def _linear(weights: list[float], dimensions: int, parameters: dict[str, str]) -> BoosterStatistics:
    """Weights are stored row by row: one row a dimension and the bias last, one column an output."""
    if not weights:
        raise ValueError("a linear booster without weights")
    sizes = np.abs(np.asarray(weights, np.float64).reshape(dimensions + 1, -1)[:dimensions]).sum(axis=1)
    none, empty = np.zeros(dimensions, np.int64), np.zeros(0, np.int64)
    return BoosterStatistics(
        "gblinear", empty, empty, np.zeros(0), sizes, sizes, np.zeros(dimensions), none, parameters
    )


def _parameters(learner: _Learner) -> dict[str, str]:
    found = {"booster": learner.gradient_booster.name}
    found |= flat(learner.objective, "objective")
    found |= flat(learner.learner_model_param, "learner")
    found |= flat(learner.attributes, "attribute")
    return found


def flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested parameters as text by dotted name."""
    found: dict[str, str] = {}
    for key, value in document.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            found |= flat(value, name)
        else:
            found[name] = value if isinstance(value, str) else strict_json.encode(value).decode()
    return found
