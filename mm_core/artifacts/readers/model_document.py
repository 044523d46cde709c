"""A booster's JSON document as typed values: each name once, each value of its kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from mm_core import strict_json
from mm_core.artifacts.readers.model_categories import Categories
from mm_core.artifacts.readers.model_refusals import bad
from mm_core.artifacts.readers.model_trees import Number, Tree, TreeParameters

OUT_OF_RANGE = b"1e300"
"""What stands for NaN and infinity, which XGBoost writes and strict JSON has not: no float32 is that large."""

LARGEST_ODD_TREE = 16 << 20
"""Bytes of a tree whose names have to be looked at one by one, which takes many times its size."""

_NUMBER_TOKEN = re.compile(rb"(?<=[\[,:\s])(?:NaN|-?Infinity)(?=[\],}\s])")
_BETWEEN_TREES = re.compile(rb"\}\s*,\s*\{")
_COLUMNS = tuple(column.name for column in fields(Tree))
_PARAMETERS = len(fields(TreeParameters))


@dataclass(slots=True)
class TreesParameters:
    """``gbtree_model_param``: whole numbers, written as text."""

    num_trees: str = "0"
    num_parallel_tree: str = "1"


class Model(strict_json.Record):
    """``model`` of a booster of trees, or of a linear one, which has ``weights`` alone."""

    gbtree_model_param: TreesParameters | None = None
    trees: strict_json.RawJson = strict_json.RawJson()
    tree_info: list[int] | None = None
    iteration_indptr: list[int] | None = None
    cats: Categories | None = None
    weights: list[Number] | None = None
    boosted_rounds: int = 0


@dataclass(slots=True)
class InnerBooster:
    """``gbtree`` of a booster of the kind ``dart``."""

    model: Model


@dataclass(slots=True)
class GradientBooster:
    """``gradient_booster``."""

    name: str
    model: Model | None = None
    gbtree: InnerBooster | None = None
    weight_drop: list[Number] | None = None


@dataclass(slots=True)
class Objective:
    """``objective``."""

    name: str


@dataclass(slots=True)
class LearnerParameters:
    """``learner_model_param``: numbers, written as text; ``base_score`` may be a list of them."""

    num_feature: str
    base_score: str
    num_class: str = "0"
    num_target: str = "1"
    boost_from_average: str = "1"


@dataclass(slots=True)
class Learner:
    """``learner``."""

    gradient_booster: GradientBooster
    learner_model_param: LearnerParameters
    objective: Objective
    attributes: dict[str, str] = field(default_factory=dict)
    feature_names: list[str] = field(default_factory=list)
    feature_types: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Document:
    """All of it."""

    learner: Learner
    version: tuple[int, int, int]

    @property
    def model(self) -> Model:
        """The part with the trees or the weights; raises `UnreadableArtifact` for boosters of unknown kinds."""
        booster = self.learner.gradient_booster
        if booster.name == "dart" and booster.gbtree is not None and booster.weight_drop is not None:
            return booster.gbtree.model
        if booster.name in {"gbtree", "gblinear"} and booster.model is not None:
            return booster.model
        raise bad(f"The booster is of the kind {booster.name[:40]!r} or cut; gbtree, dart and gblinear are read.")


def decode_model(data: bytes) -> tuple[Document, memoryview]:
    """Return the document in ``data`` and the text of its trees; see `decoded_trees` for these.

    Raises `UnreadableArtifact` for anything XGBoost does not write, and for a name that stands twice in one object, as
    readers differ in which of the two they take. NaN and infinity become `OUT_OF_RANGE`.
    """
    try:
        data.decode("utf-8")
        try:
            document = strict_json.decode_as(data, Document)
        except strict_json.NotJson:
            if not (b"NaN" in data or b"Infinity" in data):
                raise
            data = _NUMBER_TOKEN.sub(OUT_OF_RANGE, data)
            document = strict_json.decode_as(data, Document)
        trees = memoryview(document.model.trees)
        if trees and trees[0] != ord("["):
            raise ValueError("trees are no array")
        begin = data.find(trees) if trees else len(data)
        json.loads(data[:begin] + b"[]" * bool(trees) + data[begin + len(trees) :], object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise bad(f"The file is no XGBoost JSON ({error}).") from error
    return document, trees


def decoded_trees(text: memoryview) -> Iterator[Tree]:
    """Yield the trees of a model one after the other; raise `UnreadableArtifact` as `decode_model`."""
    for number, tree in enumerate(_texts(text)):
        try:
            decoded = strict_json.decode_as(tree, Tree)
            # Each object has as many colons as names; where they are more, a name is unknown or stands twice.
            names = _PARAMETERS + sum(getattr(decoded, column) is not None for column in _COLUMNS)
            if tree.count(b":") != names:
                if len(tree) > LARGEST_ODD_TREE:
                    raise ValueError(f"{len(tree):,} bytes with names that are not known")
                json.loads(tree, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise bad(f"Tree {number} of the file is no XGBoost JSON ({error}).") from error
        yield decoded


def _texts(text: memoryview) -> Iterator[bytes]:
    """Yield the text of each tree; a tree has one object in it, which is never followed by another."""
    if not bytes(text[1:-1]).strip():
        return
    begin = 1
    for between in _BETWEEN_TREES.finditer(text):
        yield bytes(text[begin : between.start() + 1])
        begin = between.end() - 1
    yield bytes(text[begin:-1])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice[:60]}' stands twice in one object")
    return found
