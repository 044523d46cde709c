"""What an XGBoost model leans on: names, objective and importances, from a text that `read_booster` has checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mm_core.artifacts.readers.model_document import Model, decode_model, decoded_trees
from mm_core.artifacts.readers.model_numbers import LARGEST_FLOAT32
from mm_core.artifacts.readers.model_objective import objective_name
from mm_core.artifacts.readers.model_trees import DELETED, LEAF
from mm_core.domain.versions import BoosterText
from mm_core.strict_json import MISSING


@dataclass(frozen=True, slots=True)
class BoosterFacts:
    """A booster, how many rounds it has, and after how many of them its training was best, None where that is all."""

    booster: BoosterText
    rounds: int
    best_rounds: int | None


def booster_facts(data: bytes) -> BoosterFacts:
    """Return what the booster in ``data`` is; one without names has its features called ``f0``, ``f1`` …, as XGBoost.

    ``splits`` and ``gain`` of it are XGBoost's ``weight`` and ``total_gain``. A linear booster has no trees; the
    absolute weights of a feature stand for its gain. Raises `UnreadableArtifact` as `read_booster`, which must have
    come first: the trees are not checked again.
    """
    document, text = decode_model(data)
    learner = document.learner
    parameters = learner.learner_model_param
    features = int(parameters.num_feature)
    outputs = max(1, int(parameters.num_class), int(parameters.num_target))
    splits, gain = [0] * features, [0.0] * features
    trees = leaves = 0
    weights = document.model.weights
    if learner.gradient_booster.name == "gblinear":
        if weights is not MISSING and weights:
            gain = [math.fsum(map(abs, weights[at * outputs : (at + 1) * outputs])) for at in range(features)]
    else:
        for tree in decoded_trees(text):
            trees += 1
            gains = tree.loss_changes if tree.loss_changes is not MISSING else ()
            for child, feature, change in zip(tree.left_children, tree.split_indices, gains, strict=True):
                if feature == DELETED:
                    continue
                if child == LEAF:
                    leaves += 1
                else:
                    splits[feature] += 1
                    gain[feature] += change if abs(change) <= LARGEST_FLOAT32 else 0.0
    booster = BoosterText(
        feature_names=tuple(learner.feature_names) or tuple(f"f{place}" for place in range(features)),
        objective=objective_name(learner.objective),
        num_class=outputs,
        num_trees=trees,
        num_leaves=leaves,
        splits=tuple(splits),
        gain=tuple(total if math.isfinite(total) else 0.0 for total in gain),
    )
    rounds = _rounds(document.model, trees, outputs)
    best = learner.attributes.get("best_iteration", "")
    stopped = int(best) + 1 if best.isascii() and best.isdecimal() and len(best) < 10 else rounds
    return BoosterFacts(booster, rounds, stopped if stopped < rounds else None)


def _rounds(model: Model, trees: int, outputs: int) -> int:
    if model.iteration_indptr is not MISSING:
        return len(model.iteration_indptr) - 1
    parameters = model.gbtree_model_param
    if parameters is MISSING:
        return model.boosted_rounds
    return trees // max(1, outputs * int(parameters.num_parallel_tree))
