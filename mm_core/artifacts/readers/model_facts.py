"""What an XGBoost model leans on: names, objective and importances, from a text that `read_booster` has checked."""

from __future__ import annotations

import math

from mm_core.artifacts.readers.model_document import decode_model, decoded_trees
from mm_core.artifacts.readers.model_numbers import LARGEST_FLOAT32
from mm_core.artifacts.readers.model_objective import objective_name
from mm_core.artifacts.readers.model_trees import DELETED, LEAF
from mm_core.domain.versions import BoosterText
from mm_core.strict_json import MISSING


def booster_facts(data: bytes) -> BoosterText:
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
    return BoosterText(
        feature_names=tuple(learner.feature_names) or tuple(f"f{place}" for place in range(features)),
        objective=objective_name(learner.objective),
        num_class=outputs,
        num_trees=trees,
        num_leaves=leaves,
        splits=tuple(splits),
        gain=tuple(total if math.isfinite(total) else 0.0 for total in gain),
    )
