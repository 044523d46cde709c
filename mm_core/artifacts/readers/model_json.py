"""``_model.json``: a booster as XGBoost saves it, checked before any bot is given it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from mm_core.artifacts.readers.model_categories import check_categories, divides
from mm_core.artifacts.readers.model_document import Document, Learner, Model, decode_model, decoded_trees
from mm_core.artifacts.readers.model_numbers import finite_numbers, whole_number
from mm_core.artifacts.readers.model_objective import objective_name
from mm_core.artifacts.readers.model_refusals import REMEDY, bad, unsound
from mm_core.artifacts.readers.model_trees import Tree, check_tree, leaves_out_of_range, only_floats
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.groups import ModelSummary
from mm_core.strict_json import MISSING

MOST_FEATURES = 1_000_000
"""XGBoost makes room for that many numbers for each row that it predicts at once."""

MOST_OUTPUTS = 100_000

FEATURE_TYPES = frozenset(["int", "float", "i", "q", "c"])
"""The types of features that XGBoost knows."""


@dataclass(frozen=True, slots=True)
class CheckedBooster:
    """A booster that XGBoost can load: its summary, and what its training left in it.

    ``feature_names`` is empty where it was trained without; of its ``rounds`` the first ``best_rounds`` were the best
    ones, None where that is all of them.
    """

    summary: ModelSummary
    feature_names: tuple[str, ...]
    rounds: int
    best_rounds: int | None


def read_booster(data: bytes, report: FileReport) -> CheckedBooster:
    """Return what the booster in ``data`` is, once it is sure that XGBoost can load it and walk its trees.

    Leaves that are not finite are a finding. Raises `UnreadableArtifact` for anything XGBoost did not save as JSON, and
    for trees whose nodes, splits, leaves or categories lie outside of what there is. Time is linear to the size.
    """
    document, text = decode_model(data)
    learner = document.learner
    features, outputs = _shape_of(learner)
    num_trees, num_parallel_tree = 0, 1
    if learner.gradient_booster.name == "gblinear":
        _check_weights(document.model, features, outputs)
    else:
        num_trees, num_parallel_tree = _check_parts(document, features, outputs)
        _check_trees(decoded_trees(text), document.model, num_trees, features, outputs, report)
    summary = ModelSummary(
        source=report.file,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        feature_dim=features,
        objective=objective_name(learner.objective),
        num_trees=num_trees,
        num_parallel_tree=num_parallel_tree,
        version=document.version,
    )
    rounds = _rounds(document.model, num_trees, outputs * num_parallel_tree)
    return CheckedBooster(summary, tuple(learner.feature_names), rounds, _best_rounds(learner, rounds))


def _rounds(model: Model, trees: int, trees_a_round: int) -> int:
    if model.iteration_indptr is not MISSING:
        return len(model.iteration_indptr) - 1
    if model.gbtree_model_param is MISSING:
        return model.boosted_rounds
    return trees // max(1, trees_a_round)


def _best_rounds(learner: Learner, rounds: int) -> int | None:
    """Return after how many rounds the training was best, None where that is all of them or nothing says it."""
    best = learner.attributes.get("best_iteration", "")
    stopped = int(best) + 1 if best.isascii() and best.isdecimal() and len(best) < 10 else rounds
    return stopped if stopped < rounds else None


def _shape_of(learner: Learner) -> tuple[int, int]:
    """Return how many features the model takes and how many numbers it predicts for a row."""
    parameters = learner.learner_model_param
    features = whole_number(parameters.num_feature, "num_feature")
    classes = whole_number(parameters.num_class, "num_class")
    targets = whole_number(parameters.num_target, "num_target")
    outputs = max(1, classes, targets)
    if targets < 1:
        raise bad("The model claims no target.")
    if classes > 1 and targets > 1:
        raise bad(f"The model claims {classes} classes and {targets} targets; XGBoost has one or the other.")
    if features > MOST_FEATURES or outputs > MOST_OUTPUTS:
        raise unsound(
            f"The model claims {features:,} features and {outputs:,} outputs, more than the {MOST_FEATURES:,} and "
            f"{MOST_OUTPUTS:,} that are taken."
        )
    scores = finite_numbers(parameters.base_score)
    if scores is None or len(scores) not in {1, outputs}:
        raise bad(f"base_score is {parameters.base_score[:60]!r}, no finite number for each of {outputs} outputs.")
    if parameters.boost_from_average not in {"0", "1"}:
        raise bad(f"boost_from_average is {parameters.boost_from_average[:40]!r}, neither 0 nor 1.")
    unknown = set(learner.feature_types) - FEATURE_TYPES
    if unknown:
        raise bad(f"{min(unknown)[:40]!r} is no type of a feature; {', '.join(sorted(FEATURE_TYPES))} are.")
    for name, column in (("feature_names", learner.feature_names), ("feature_types", learner.feature_types)):
        if column and len(column) != features:
            raise bad(f"The model has {features} features and {len(column)} {name}.")
    return features, outputs


def _check_weights(model: Model, features: int, outputs: int) -> None:
    needed = (features + 1) * outputs
    if model.weights is MISSING:
        raise bad("The linear model has no weights.")
    untrained = not model.weights and model.boosted_rounds == 0
    if not untrained and len(model.weights) != needed:
        raise unsound(f"The linear model has {len(model.weights):,} weights, {needed:,} are needed.")
    if not only_floats(model.weights):
        raise bad("The weights of the linear model are not written as floats.")


def _check_parts(document: Document, features: int, outputs: int) -> tuple[int, int]:
    """Return how many trees a model claims, and how many of them are parallel; raise where its parts disagree."""
    model, weights = document.model, document.learner.gradient_booster.weight_drop
    parameters, tree_info = model.gbtree_model_param, model.tree_info
    if parameters is MISSING or tree_info is MISSING:
        raise bad("The model has no gbtree_model_param or no tree_info.")
    trees = whole_number(parameters.num_trees, "num_trees")
    parallel = whole_number(parameters.num_parallel_tree, "num_parallel_tree")
    if trees and not 1 <= parallel <= trees:
        raise unsound(f"The model claims {parallel} parallel trees and has {trees} in all.")
    if len(tree_info) != trees or not all(0 <= output < outputs for output in set(tree_info)):
        raise unsound(f"tree_info does not give each of {trees} trees one of {outputs} outputs.")
    rounds = model.iteration_indptr
    if rounds is not MISSING and not divides(rounds, len(rounds) - 1, trees):
        raise unsound(f"iteration_indptr does not divide the {trees} trees into rounds.")
    if weights is not MISSING and not (len(weights) == trees and only_floats(weights)):
        raise unsound(f"The model has {trees} trees and {len(weights)} weights of trees, or they are no floats.")
    if model.cats is not MISSING:
        check_categories(model.cats, features)
    return trees, parallel


def _check_trees(
    trees: Iterable[Tree], model: Model, claimed: int, features: int, outputs: int, report: FileReport
) -> None:
    widths = set()
    held = out_of_range = 0
    for tree in trees:
        widths.add(check_tree(tree, held, features, outputs))
        out_of_range += leaves_out_of_range(tree)
        held += 1
    if held != claimed:
        raise bad(f"The model claims {claimed} trees and holds {held}: it is cut.")
    if len(widths) > 1:
        raise unsound("Some trees of the model have leaves with a vector, others have not.")
    if widths and max(widths) > 1 and any(model.tree_info or ()):
        raise unsound("The trees' leaves hold all outputs, and yet tree_info gives some trees one output.")
    if out_of_range:
        report.warn(
            "leaf-not-finite",
            f"{out_of_range} leaves of the model hold NaN or infinity, and so will what it predicts from them.",
            f"Look for rows of the training data that are not finite. {REMEDY}",
        )
