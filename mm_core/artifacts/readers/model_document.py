"""A booster's JSON document as typed values: each name once, each value of its kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from mm_core import strict_json
from mm_core.artifacts.readers.model_categories import Categories
from mm_core.artifacts.readers.model_refusals import bad
from mm_core.artifacts.readers.model_trees import Number, Tree, TreeParameters

OUT_OF_RANGE = 1e300
"""What stands for NaN and infinity in the typed values: no float32 is that large."""


@dataclass(slots=True)
class TreesParameters:
    """``gbtree_model_param``: whole numbers, written as text."""

    num_trees: str = "0"
    num_parallel_tree: str = "1"


@dataclass(slots=True)
class Model:
    """``model`` of a booster of trees, or of a linear one, which has ``weights`` alone."""

    gbtree_model_param: TreesParameters | None = None
    trees: list[strict_json.RawJson] = field(default_factory=list)
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


def decode_model(data: bytes) -> tuple[Document, list[Tree]]:
    """Return the document in ``data`` and its trees; raise `UnreadableArtifact` for anything XGBoost does not write.

    A name that stands twice in one object is refused, as readers differ in which of the two they take. NaN and infinity
    become `OUT_OF_RANGE`.
    """
    try:
        data.decode("utf-8")
        try:
            document = strict_json.decode_as(data, Document)
        except strict_json.NotJson:
            if not (b"NaN" in data or b"Infinity" in data):
                raise
            data = _without_number_tokens(data)
            document = strict_json.decode_as(data, Document)
        texts = [bytes(tree) for tree in document.model.trees]
        trees = [strict_json.decode_as(text, Tree) for text in texts]
        json.loads(_with_doubtful_names(data, texts, trees), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise bad(f"The file is no XGBoost JSON ({error}).") from error
    return document, trees


def _without_number_tokens(data: bytes) -> bytes:
    """XGBoost writes and reads NaN and Infinity, which strict JSON has not."""
    return strict_json.encode(json.loads(data, parse_constant=lambda _: OUT_OF_RANGE, object_pairs_hook=_unique))


_COLUMNS = tuple(column.name for column in fields(Tree))
_PARAMETERS = len(fields(TreeParameters))


def _with_doubtful_names(data: bytes, texts: Sequence[bytes], trees: Sequence[Tree]) -> bytes:
    """Return the part of ``data`` in which a name could stand twice in one object, as a document of its own.

    The trees hold nearly all of the bytes. They are left out where they have as many colons as known names.
    """
    if not trees:
        return data
    begin = data.find(texts[0])
    end = begin
    for text, tree in zip(texts, trees, strict=True):
        place = data.find(b"{", end)
        names = _PARAMETERS + sum(getattr(tree, column) is not None for column in _COLUMNS)
        between = data[end:place].strip()
        if text.count(b":") != names or between not in {b"", b","} or not data.startswith(text, place):
            return data
        end = place + len(text)
    return data[:begin] + data[end:]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice[:60]}' stands twice in one object")
    return found
