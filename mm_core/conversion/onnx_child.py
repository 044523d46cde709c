"""The child process of `onnx_converter`: booster JSON on standard input, ONNX on standard output.

A failure is one line of JSON on standard error, ``{"kind": "refused" | "memory" | "failed", "reason": "..."}``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from typing import Any, NoReturn

from mm_core.child_processes import confine, leave_out_what_boosters_do_without

CHECKED_ROWS = 256
TOLERANCE = 1e-5
"""Largest difference of a margin, as a share of what its float32 sum runs through: base margin and leaves."""

LOG_LINK = frozenset({"count:poisson", "reg:gamma", "reg:tweedie"})
PLAIN_SUM = frozenset({"rank:pairwise", "rank:ndcg", "rank:map", "binary:logitraw"})
"""Objectives that predict the margin itself; onnxmltools would take them for a classifier's."""

SOURCE_PLACE = re.compile(r"^\[[^]]*\] \S+:\d+: ")
"""How xgboost's messages begin: time, file and line."""


class Refused(Exception):
    """The booster has no ONNX form that predicts as it does; the message says why."""


def main() -> None:
    """Convert one booster within the limits of the command line; end with 1 and a reason otherwise."""
    memory_bytes, seconds, parent = (int(argument) for argument in sys.argv[1:4])
    confine(memory_bytes, parent, processor_seconds=seconds)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the answer
    warnings.simplefilter("ignore")
    leave_out_what_boosters_do_without()
    try:
        data = convert(sys.stdin.buffer.read())
    except Refused as refused:
        _fail("refused", str(refused))
    except MemoryError:
        _fail("memory", "")
    except Exception as error:  # noqa: BLE001 - whatever a library raises is this process's answer
        _fail("memory" if _peak_bytes() > memory_bytes // 2 else "failed", _sentence(error))
    answers.write(data)
    answers.close()


def _fail(kind: str, reason: str) -> NoReturn:
    raise SystemExit("\n" + json.dumps({"kind": kind, "reason": reason[:500].rstrip(".")}))


def _sentence(error: Exception) -> str:
    """Return a library's message without the place in its sources."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {SOURCE_PLACE.sub('', first)}"


def _peak_bytes() -> int:
    """Return the largest address space so far, 0 where the system does not tell.

    Libraries that find no memory raise errors of every kind, most without a message.
    """
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next((int(line.split()[1]) << 10 for line in status if line.startswith("VmPeak:")), 0)
    except OSError:
        return 0


def convert(model_json: bytes) -> bytes:
    """Return the ONNX form of a booster; raise `Refused` for one that ONNX would predict otherwise with."""
    import xgboost
    from onnxmltools.convert import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    document, objective, features = _checked(model_json)
    learner = document["learner"]
    trees = learner["gradient_booster"]["model"]["trees"]
    learner["feature_names"] = []  # onnxmltools knows features by number alone
    learner["feature_types"] = []
    booster = xgboost.Booster()
    booster.load_model(bytearray(json.dumps(document), "utf-8"))
    rows, reach = _rows(trees, features), _reach(trees)
    _adapt(learner)
    adapted = xgboost.Booster()
    adapted.load_model(bytearray(json.dumps(document), "utf-8"))
    onnx = convert_xgboost(adapted, initial_types=[("input", FloatTensorType([None, features]))])
    data: bytes = onnx.SerializeToString()
    check_predictions(booster, data, rows, reach, objective)
    return data


def _checked(model_json: bytes) -> tuple[Any, str, int]:
    """Return document, objective and number of features; raise `Refused` for what is known to have no ONNX form."""
    try:
        document = json.loads(model_json)
        learner = document["learner"]
        kind = learner["gradient_booster"]["name"]
        parameters = learner["learner_model_param"]
        outputs, features = int(parameters.get("num_target", 1)), int(parameters["num_feature"])
        objective = str(learner["objective"]["name"])
        trees = learner["gradient_booster"]["model"]["trees"] if kind == "gbtree" else []
        categorical = any(any(tree.get("split_type", ())) for tree in trees)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused("the model is no XGBoost JSON") from None
    if kind != "gbtree":
        raise Refused(f"a booster of kind '{kind}' has no ONNX form here, only 'gbtree' has")
    if not trees:
        raise Refused("the booster has no trees")
    if outputs > 1:
        raise Refused(f"a booster of {outputs} targets has no ONNX form here")
    if categorical:
        raise Refused("a booster that splits on categories has no ONNX form here")
    return document, objective, features


def _adapt(learner: Any) -> None:
    """Write the booster as onnxmltools understands it; what it predicts stays the same, which is checked after."""
    if learner["objective"]["name"] in PLAIN_SUM:
        learner["objective"] = {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}
    model = learner["gradient_booster"]["model"]
    # onnxmltools takes a booster for a regression where all covers happen to be whole numbers
    model["trees"][0]["sum_hessian"][0] = 0.5
    classes = int(learner["learner_model_param"]["num_class"])
    if classes > 1 and int(model["gbtree_model_param"]["num_parallel_tree"]) > 1:
        _interleave(model, classes)


def _interleave(model: Any, classes: int) -> None:
    """Order a forest's trees class after class: onnxmltools takes tree i for one of class i modulo ``classes``."""
    by_class: list[list[Any]] = [[] for _ in range(classes)]
    for tree, label in zip(model["trees"], model["tree_info"], strict=True):
        by_class[label].append(tree)
    model["trees"] = [tree for row in zip(*by_class, strict=True) for tree in row]
    for number, tree in enumerate(model["trees"]):
        tree["id"] = number
    count = len(model["trees"])
    model["tree_info"] = [number % classes for number in range(count)]
    model["iteration_indptr"] = list(range(0, count + 1, classes))
    model["gbtree_model_param"]["num_parallel_tree"] = "1"


def _rows(trees: Any, features: int) -> Any:
    """Return rows that tell trees apart: each value at one of its feature's thresholds or just below, one in ten NaN.

    Float32, shape (`CHECKED_ROWS`, ``features``). Random numbers alone would all fall on one side of a price's splits.
    """
    import numpy

    generator = numpy.random.default_rng(0)
    rows = generator.normal(size=(CHECKED_ROWS, features)).astype("float32")
    thresholds: dict[int, list[float]] = {}
    for tree in trees:
        columns = (tree["left_children"], tree["split_indices"], tree["split_conditions"])
        for left, feature, threshold in zip(*columns, strict=True):
            if left != -1:
                thresholds.setdefault(feature, []).append(threshold)
    for feature, values in thresholds.items():
        at = generator.choice(numpy.unique(numpy.asarray(values, dtype="float32")), CHECKED_ROWS)
        below = numpy.nextafter(at, numpy.float32("-inf"))
        rows[:, feature] = numpy.where(generator.random(CHECKED_ROWS) < 0.5, at, below)
    rows[generator.random(rows.shape) < 0.1] = numpy.nan
    rows[-1] = numpy.nan
    return rows


def _reach(trees: Any) -> float:
    """Return how far leaves can move a margin: the sum of each tree's largest absolute leaf."""
    total = 0.0
    for tree in trees:
        pairs = zip(tree["left_children"], tree["split_conditions"], strict=True)
        total += max(abs(value) for left, value in pairs if left == -1)
    return total


def check_predictions(booster: Any, data: bytes, rows: Any, reach: float, objective: str) -> None:
    """Raise `Refused` where the ONNX form predicts otherwise than the booster on any of ``rows``.

    The bound follows the booster's own numbers: labels may be returns of 1e-5 or prices of 1e5.
    """
    import numpy
    import onnxruntime
    import xgboost

    matrix = xgboost.DMatrix(rows, nthread=1)
    margins = booster.predict(matrix, output_margin=True)
    expected = margins if objective == "multi:softmax" else booster.predict(matrix)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    got = numpy.asarray(session.run(None, {"input": rows})[-1])
    if objective == "binary:logistic" and got.ndim == 2:
        got = got[:, -1]
    size = numpy.abs(expected)
    steepness = size if objective in LOG_LINK else 1.0
    bound = TOLERANCE * (float(numpy.abs(margins).max()) + reach) * steepness + 1e-6 * size.max()
    if got.size != expected.size or not bool((numpy.abs(got.reshape(expected.shape) - expected) <= bound).all()):
        raise Refused(f"the ONNX form of objective '{objective}' predicts otherwise than the booster")


if __name__ == "__main__":
    main()
