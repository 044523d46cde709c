"""A booster's JSON document as typed values: each name once, each value of its kind and as XGBoost reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from mm_core import strict_json
from mm_core.artifacts.readers.model_categories import Categories
from mm_core.artifacts.readers.model_objective import Objective
from mm_core.artifacts.readers.model_refusals import bad
from mm_core.artifacts.readers.model_sizes import check_beside_trees, check_columns
from mm_core.artifacts.readers.model_trees import Number, Tree, TreeParameters
from mm_core.strict_json import MISSING, Missing

OUT_OF_RANGE = b"1e300"
"""What stands for NaN and infinity, which XGBoost writes and strict JSON has not: no float32 is that large."""

LARGEST_ODD_TREE = 16 << 20
"""Bytes of a tree whose names have to be looked at one by one, which takes many times its size."""

_NUMBER_TOKEN = re.compile(rb"(?<=[\[,:\s])(?:NaN|-?Infinity)(?=[\],}\s])")
_BETWEEN_TREES = re.compile(rb"\}\s*,\s*\{")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*+)"(\s*+:)?')
_ESCAPE = re.compile(rb"\\(.)")
_ESCAPES = frozenset(b'"\\nrtu')
"""The letters that XGBoost takes after a backslash; JSON has three more."""

_COLUMNS = tuple(column.name for column in fields(Tree))
_PARAMETERS = len(fields(TreeParameters))


@dataclass(slots=True)
class TreesParameters:
    """``gbtree_model_param``: whole numbers, written as text."""

    num_trees: str = "0"
    num_parallel_tree: str = "1"


@dataclass(slots=True)
class Model:
    """``model`` of a booster of trees, without the trees, or of a linear one, which has ``weights`` alone."""

    gbtree_model_param: TreesParameters | Missing = MISSING
    tree_info: list[int] | Missing = MISSING
    iteration_indptr: list[int] | Missing = MISSING
    cats: Categories | Missing = MISSING
    weights: list[Number] | Missing = MISSING
    boosted_rounds: int = 0


@dataclass(slots=True)
class InnerBooster:
    """``gbtree`` of a booster of the kind ``dart``."""

    name: str
    model: Model


@dataclass(slots=True)
class GradientBooster:
    """``gradient_booster``."""

    name: str
    model: Model | Missing = MISSING
    gbtree: InnerBooster | Missing = MISSING
    weight_drop: list[Number] | Missing = MISSING


@dataclass(slots=True)
class LearnerParameters:
    """``learner_model_param``: numbers, written as text; ``base_score`` may be a list of them."""

    num_feature: str
    base_score: str
    num_class: str
    num_target: str = "1"
    boost_from_average: str = "1"


@dataclass(slots=True)
class Learner:
    """``learner``."""

    gradient_booster: GradientBooster
    learner_model_param: LearnerParameters
    objective: Objective
    attributes: dict[str, str]
    feature_names: list[str] = field(default_factory=list)
    feature_types: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Document:
    """All of it but the trees."""

    learner: Learner
    version: tuple[int, int, int]

    @property
    def model(self) -> Model:
        """The part with the trees or the weights; raises `UnreadableArtifact` for boosters of unknown kinds."""
        booster = self.learner.gradient_booster
        if (
            booster.name == "dart"
            and booster.gbtree is not MISSING
            and booster.gbtree.name == "gbtree"
            and booster.weight_drop is not MISSING
        ):
            return booster.gbtree.model
        if booster.name in {"gbtree", "gblinear"} and booster.model is not MISSING:
            return booster.model
        raise bad(f"The booster is of the kind {booster.name[:40]!r} or cut; gbtree, dart and gblinear are read.")


class _ModelText(strict_json.Record, frozen=True):
    trees: strict_json.RawJson = strict_json.RawJson()


class _InnerText(strict_json.Record, frozen=True):
    model: _ModelText = _ModelText()


class _BoosterText(strict_json.Record):
    name: str
    model: _ModelText = _ModelText()
    gbtree: _InnerText = _InnerText()


class _LearnerText(strict_json.Record):
    gradient_booster: _BoosterText


class _DocumentText(strict_json.Record):
    """Where the trees stand; whatever else there is, is checked to be JSON."""

    learner: _LearnerText


def decode_model(data: bytes) -> tuple[Document, memoryview]:
    """Return the document in ``data`` and the text of its trees; see `decoded_trees` for these.

    Raises `UnreadableArtifact` for anything XGBoost does not write, for a name that stands twice in one object, as
    readers differ in which of the two they take, and for escapes that XGBoost reads otherwise than JSON means them.
    NaN and infinity become `OUT_OF_RANGE`.
    """
    try:
        data.decode("utf-8")
        try:
            booster = strict_json.decode_as(data, _DocumentText).learner.gradient_booster
        except strict_json.NotJson:
            if not (b"NaN" in data or b"Infinity" in data):
                raise
            data = _NUMBER_TOKEN.sub(OUT_OF_RANGE, data)
            booster = strict_json.decode_as(data, _DocumentText).learner.gradient_booster
        trees = memoryview((booster.gbtree.model if booster.name == "dart" else booster.model).trees)
        if booster.name != "gblinear" and (not trees or trees[0] != ord("[")):
            raise ValueError("its trees are no array")
        begin = data.find(trees) if trees else len(data)
        end = begin + len(trees)
        beside = data[:begin] + b"[]" * bool(trees) + data[end:]
        check_beside_trees(beside)
        json.loads(beside, object_pairs_hook=_unique)
        if data.find(b"\\", begin, end) >= 0:
            raise ValueError("a tree has a backslash in it")
        document = strict_json.decode_as(beside, Document)
        if b"\\" in beside:
            document = strict_json.decode_as(_as_xgboost_reads(beside), Document)
    except (ValueError, RecursionError) as error:
        raise bad(f"The file is no XGBoost JSON ({error}).") from error
    return document, trees


def decoded_trees(text: memoryview) -> Iterator[Tree]:
    """Yield the trees of a model one after the other; raise `UnreadableArtifact` as `decode_model`."""
    for number, tree in enumerate(_texts(text)):
        try:
            check_columns(tree, number)
            decoded = strict_json.decode_as(tree, Tree)
            # Each object has as many colons as names; where they are more, a name is unknown or stands twice.
            names = _PARAMETERS + sum(getattr(decoded, column) is not MISSING for column in _COLUMNS)
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


def _as_xgboost_reads(text: bytes) -> bytes:
    r"""Return JSON that means what XGBoost reads in ``text``: it keeps ``\u0061`` as six characters.

    Raises ``ValueError`` for a backslash in a name, where the two would read different documents, and for escapes that
    XGBoost does not know.
    """
    for string in _STRING.finditer(text):
        if string[2] is not None and b"\\" in string[1]:
            raise ValueError(f"a name is written with a backslash: {string[1][:60].decode(errors='replace')}")
    return _ESCAPE.sub(_escape_as_xgboost_reads, text)


def _escape_as_xgboost_reads(escape: re.Match[bytes]) -> bytes:
    if escape[1][0] not in _ESCAPES:
        raise ValueError(f"text has the escape {escape[0].decode()}, which XGBoost does not know")
    return rb"\\u" if escape[1] == b"u" else escape[0]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"'{name[:60]}' stands twice in one object")
        found[name] = value
    return found
