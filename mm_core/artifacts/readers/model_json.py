"""``_model.json``: a booster as XGBoost saves it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from mm_core import strict_json
from mm_core.domain.groups import ModelSummary
from mm_core.errors import UnreadableArtifact

REMEDY = "Save the model again with booster.save_model('…_model.json')."


@dataclass
class _TreeParameters:
    num_trees: str = "0"
    num_parallel_tree: str = "1"


@dataclass
class _TreeModel:
    gbtree_model_param: _TreeParameters = field(default_factory=_TreeParameters)
    trees: list[strict_json.RawJson] = field(default_factory=list)


@dataclass
class _InnerBooster:
    model: _TreeModel = field(default_factory=_TreeModel)


@dataclass
class _GradientBooster:
    name: str
    model: _TreeModel = field(default_factory=_TreeModel)
    gbtree: _InnerBooster = field(default_factory=_InnerBooster)


@dataclass
class _Objective:
    name: str


@dataclass
class _LearnerParameters:
    num_feature: str


@dataclass
class _Learner:
    gradient_booster: _GradientBooster
    learner_model_param: _LearnerParameters
    objective: _Objective


@dataclass
class _Document:
    learner: _Learner
    version: list[int]


def summarize_model(data: bytes, source: str) -> ModelSummary:
    """Return what the booster in ``data`` is; raise `UnreadableArtifact` for anything XGBoost did not save as JSON."""
    learner, version = _decode(data)
    trees = learner.gradient_booster.model
    if learner.gradient_booster.name == "dart":
        trees = learner.gradient_booster.gbtree.model
    num_trees = _whole(trees.gbtree_model_param.num_trees, "num_trees")
    if len(trees.trees) != num_trees:
        raise UnreadableArtifact(
            "bad-model", f"The model claims {num_trees} trees and holds {len(trees.trees)}: it is cut.", REMEDY
        )
    return ModelSummary(
        source=source,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        feature_dim=_whole(learner.learner_model_param.num_feature, "num_feature"),
        objective=learner.objective.name,
        num_trees=num_trees,
        num_parallel_tree=_whole(trees.gbtree_model_param.num_parallel_tree, "num_parallel_tree"),
        version=tuple(version),
    )


def _decode(data: bytes) -> tuple[_Learner, list[int]]:
    try:
        data.decode("utf-8")
        try:
            document = strict_json.decode_as(data, _Document)
        except strict_json.NotJson as error:
            if not _has_number_tokens(data):
                raise
            # XGBoost writes and reads NaN and Infinity, which strict JSON has not.
            try:
                document = strict_json.decode_as(strict_json.encode(json.loads(data)), _Document)
            except (ValueError, RecursionError):
                raise error from None
    except (strict_json.NotJson, UnicodeDecodeError) as error:
        raise UnreadableArtifact("bad-model", f"The file is no XGBoost JSON ({error}).", REMEDY) from error
    return document.learner, document.version


def _has_number_tokens(data: bytes) -> bool:
    return b"NaN" in data or b"Infinity" in data


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise UnreadableArtifact("bad-model", f"{name} is {text[:40]!r}, not a whole number.", REMEDY)
    return int(text)
