"""The child process of `onnx`: booster JSON on standard input, ONNX on standard output."""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from typing import Any

CHECKED_ROWS = 64
TOLERANCE = 1e-4
"""Largest difference of a prediction, relative to its size: ONNX sums the same float32 leaves in another order."""


def main() -> None:
    """Convert one booster within the limits of the command line; end with 1 and a reason otherwise."""
    memory_bytes, seconds = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the answer
    warnings.simplefilter("ignore")
    try:
        data = convert(sys.stdin.buffer.read())
    except MemoryError:
        raise SystemExit(f"it needs more than {memory_bytes >> 20} MiB") from None
    except Exception as error:  # noqa: BLE001 - whatever a library raises is this process's answer
        raise SystemExit(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from None
    answers.write(data)
    answers.close()


def convert(model_json: bytes) -> bytes:
    """Return the ONNX form of a booster; raise ``ValueError`` for one that ONNX would predict otherwise with."""
    import xgboost
    from onnxmltools.convert import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    document = json.loads(model_json)
    learner = document["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        raise ValueError(f"a booster of kind '{learner['gradient_booster']['name']}' has no ONNX form here")
    learner["feature_names"] = []  # onnxmltools knows features by number alone
    learner["feature_types"] = []
    booster = xgboost.Booster()
    booster.load_model(bytearray(json.dumps(document), "utf-8"))
    features = int(learner["learner_model_param"]["num_feature"])
    onnx = convert_xgboost(booster, initial_types=[("input", FloatTensorType([None, features]))])
    data: bytes = onnx.SerializeToString()
    _check_predictions(booster, data, features, learner["objective"]["name"])
    return data


def _check_predictions(booster: Any, data: bytes, features: int, objective: str) -> None:
    import numpy
    import onnxruntime
    import xgboost

    rows = numpy.random.default_rng(0).normal(size=(CHECKED_ROWS, features)).astype("float32")
    rows[::7, ::3] = numpy.nan
    expected = booster.predict(xgboost.DMatrix(rows))
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    got = numpy.asarray(session.run(None, {"input": rows})[-1])
    if objective == "binary:logistic" and got.ndim == 2:
        got = got[:, 1]
    if objective == "multi:softmax":
        got = got.argmax(axis=1)
    if got.size != expected.size or not numpy.allclose(
        got.reshape(expected.shape), expected, rtol=TOLERANCE, atol=TOLERANCE
    ):
        raise ValueError(f"the ONNX form of objective '{objective}' predicts otherwise than the booster")


if __name__ == "__main__":
    main()
