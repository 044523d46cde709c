"""Sound models of every kind that XGBoost trains, and ways to damage them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xgboost

ROWS = 400
WILD: tuple[Any, ...] = (
    *(-1, -2, 0, 1, 2, 3, 7, 100, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, -(2**31), -(2**63), 10**30),
    *(1.5, -0.5, 1e30, 1e300, True, False, None, [], {}, [[]]),
    *("", "-1", "0", "1", "2", "3", "100000", "2147483647", "4294967295", "99999999999999999999", "NaN", "[1", "abc"),
)
"""Values that stand where another one should."""

Place = tuple[str | int, ...]


def sound_models() -> dict[str, bytes]:
    """Return small models as XGBoost saves them, by what is special about them."""
    generator = np.random.default_rng(11)
    features = generator.normal(size=(ROWS, 6)).astype("float32")
    label = features[:, 0] * 2 + np.sin(features[:, 1]) + generator.normal(scale=0.1, size=ROWS)
    both = np.column_stack([label, -label])
    classes = np.digitize(label, [-1, 1])
    codes = features.copy()
    codes[:, 2] = generator.integers(0, 8, ROWS)
    shifted = label + np.where(np.isin(codes[:, 2], [1, 3, 6]), 5, 0)
    by_code = xgboost.DMatrix(
        codes, shifted, feature_types=["q", "q", "c", "q", "q", "q"], enable_categorical=True, nthread=1
    )
    named = pd.DataFrame(features, columns=list("abcdef"))
    named["side"] = pd.Categorical(np.array(["buy", "hold", "sell"])[classes])
    named["venue"] = pd.Categorical(generator.integers(10, 13, ROWS))
    numbers = xgboost.DMatrix(features, label, nthread=1)
    trained = {
        "plain": ({"max_depth": 2}, numbers),
        "dart": ({"booster": "dart", "max_depth": 1, "rate_drop": 0.5}, numbers),
        "linear": ({"booster": "gblinear"}, numbers),
        "pruned": ({"max_depth": 4, "gamma": 30, "tree_method": "exact"}, numbers),
        "by leaves": ({"grow_policy": "lossguide", "max_depth": 0, "max_leaves": 9}, numbers),
        "forest": ({"num_parallel_tree": 3, "subsample": 0.5, "max_depth": 2}, numbers),
        "classes": (
            {"objective": "multi:softprob", "num_class": 3, "max_depth": 1, "num_parallel_tree": 2},
            xgboost.DMatrix(features, classes, nthread=1),
        ),
        "targets": ({"max_depth": 1}, xgboost.DMatrix(features, both, nthread=1)),
        "vector leaves": (
            {"max_depth": 2, "multi_strategy": "multi_output_tree"},
            xgboost.DMatrix(features, both, nthread=1),
        ),
        "quantiles": ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9], "max_depth": 1}, numbers),
        "category codes": ({"max_depth": 2, "max_cat_to_onehot": 1}, by_code),
        "named categories": ({"max_depth": 2}, xgboost.DMatrix(named, shifted, enable_categorical=True, nthread=1)),
    }
    return {
        kind: bytes(xgboost.train({"nthread": 1, **parameters}, data, 2).save_raw("json"))
        for kind, (parameters, data) in trained.items()
    }


def trees_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trees of a model, to be changed in place."""
    booster = document["learner"]["gradient_booster"]
    trees: list[dict[str, Any]] = (booster.get("model") or booster["gbtree"]["model"])["trees"]
    return trees


def damaged(model: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Return ``model`` with one value replaced or one list cut or grown, and what was done."""
    document = json.loads(model)
    places = list(_places(document))
    if chance.random() < 0.35:  # most values are in trees, and the others deserve as much
        places = [place for place in places if "trees" not in place]
    place = chance.choice(places)
    holder = document
    for step in place[:-1]:
        holder = holder[step]
    if isinstance(holder[place[-1]], list):
        done = _resize(holder[place[-1]], chance)
    else:
        done = holder[place[-1]] = chance.choice(WILD)
    return json.dumps(document).encode(), f"{'.'.join(map(str, place))}: {done!r}"


def alterations(model: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield ``model`` with each name of an object taken out, made null and renamed, and with each list emptied.

    What was done is told as ``learner.version: null``. Of the trees the first one is altered, the others are alike.
    """
    document = json.loads(model)
    for place in _all_places(document):
        if "trees" in place and place[-1] != "trees" and place[place.index("trees") + 1] != 0:
            continue
        holder = document
        for step in place[:-1]:
            holder = holder[step]
        value = holder[place[-1]]
        ways: dict[str, Any] = {"null": None}
        if isinstance(value, list):
            ways["emptied"] = []
        for way, other in ways.items():
            holder[place[-1]] = other
            yield f"{'.'.join(map(str, place))}: {way}", json.dumps(document).encode()
        if isinstance(place[-1], str):
            del holder[place[-1]]
            yield f"{'.'.join(map(str, place))}: taken out", json.dumps(document).encode()
            holder[f"x{place[-1]}"] = value
            yield f"{'.'.join(map(str, place))}: renamed", json.dumps(document).encode()
            del holder[f"x{place[-1]}"]
        holder[place[-1]] = value


def _all_places(value: Any, above: Place = ()) -> Iterator[Place]:
    """Yield where each entry of an object is, and each object in a list."""
    if isinstance(value, dict):
        for name, entry in list(value.items()):
            yield (*above, name)
            yield from _all_places(entry, (*above, name))
    elif isinstance(value, list):
        for at, entry in enumerate(value):
            if isinstance(entry, dict):
                yield (*above, at)
                yield from _all_places(entry, (*above, at))


def _places(value: Any, above: Place = ()) -> Iterator[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for step, entry in inner:
        place = (*above, step)
        if isinstance(entry, dict | list):
            yield from _places(entry, place)
        if not isinstance(entry, dict):
            yield place


def _resize(column: list[Any], chance: random.Random) -> str:
    way = chance.choice(["one less", "one more", "empty", "four times"])
    if way == "one less":
        del column[-1:]
    elif way == "one more":
        column.append(chance.choice([0, 1, -1, 1.5, *column[-1:]]))
    elif way == "empty":
        column.clear()
    else:
        column.extend(column * 3)
    return way


def chain_of_nodes(model: bytes, levels: int) -> bytes:
    """Return ``model`` with a first tree in which every level has one leaf and one split."""
    document = json.loads(model)
    tree = trees_of(document)[0]
    nodes = 2 * levels + 1
    children = {0: (1, 2)} | {2 * level - 1: (2 * level + 1, 2 * level + 2) for level in range(1, levels)}
    parents = [2**31 - 1] + [0] * (nodes - 1)
    lefts, rights = [-1] * nodes, [-1] * nodes
    for node, (first, second) in children.items():
        lefts[node], rights[node] = first, second
        parents[first] = parents[second] = node
    tree.update(
        left_children=lefts,
        right_children=rights,
        parents=parents,
        split_indices=[0] * nodes,
        split_type=[0] * nodes,
        default_left=[1] * nodes,
        **{name: [1.5] * nodes for name in ("split_conditions", "base_weights", "loss_changes", "sum_hessian")},
    )
    tree["tree_param"]["num_nodes"] = str(nodes)
    return json.dumps(document).encode()
