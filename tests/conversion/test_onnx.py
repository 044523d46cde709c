"""Boosters as ONNX: equal predictions, and a child that may fail without harm."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import xgboost

from mm_core.conversion import ConversionLimits, OnnxConverter
from mm_core.conversion import onnx as onnx_module
from mm_core.errors import ConversionFailed, ExtraMissing

ROWS = np.random.default_rng(3).normal(size=(200, 4)).astype("float32")
LABELS = {
    "reg:squarederror": ROWS[:, 0] * 2 + 3,
    "binary:logistic": (ROWS[:, 1] > 0.2).astype(int),
    "multi:softprob": np.digitize(ROWS[:, 2], [-0.5, 0.5]),
}


def _booster(objective: str, **parameters: object) -> xgboost.Booster:
    data = xgboost.DMatrix(ROWS, LABELS[objective], feature_names=["a b", "c", "d", "e"])
    extra = {"num_class": 3} if objective.startswith("multi") else {}
    return xgboost.train({"objective": objective, "nthread": 1, **extra, **parameters}, data, num_boost_round=12)


@pytest.mark.parametrize("objective", sorted(LABELS))
def test_onnx_predicts_as_the_booster_does(objective: str) -> None:
    booster = _booster(objective)
    data = OnnxConverter().convert(bytes(booster.save_raw("json")))
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    got = np.asarray(session.run(None, {"input": ROWS})[-1])
    got = got[:, 1] if objective == "binary:logistic" else got
    expected = booster.predict(xgboost.DMatrix(ROWS, feature_names=booster.feature_names))
    np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_module, "MODULES", ("a_package_that_is_not_there",))
    with pytest.raises(ExtraMissing, match=r"requirements-onnx\.txt"):
        OnnxConverter().convert(b"{}")


def test_a_kind_of_booster_without_an_onnx_form_is_refused_with_its_name() -> None:
    booster = _booster("reg:squarederror", booster="gblinear")
    with pytest.raises(ConversionFailed, match="gblinear"):
        OnnxConverter().convert(bytes(booster.save_raw("json")))


@pytest.mark.parametrize("data", [b"", b"no json", b"{}", b'{"learner": {"gradient_booster": {"name": "gbtree"}}}'])
def test_anything_else_is_a_failed_conversion(data: bytes) -> None:
    with pytest.raises(ConversionFailed, match="failed"):
        OnnxConverter().convert(data)


def test_a_conversion_that_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(ConversionFailed, match=r"longer than 0\.05 s"):
        OnnxConverter(ConversionLimits(seconds=0.05)).convert(bytes(_booster("reg:squarederror").save_raw("json")))
    assert time.monotonic() - started < 5


def test_a_conversion_that_grows_too_large_is_ended() -> None:
    with pytest.raises(ConversionFailed):
        OnnxConverter(ConversionLimits(memory_bytes=64 << 20)).convert(b"{}" + b" " * (80 << 20))


def test_the_parent_imports_no_foreign_library() -> None:
    program = (
        "import sys, mm_core.conversion as c; c.onnx_extra_installed(); "
        "print(sorted({'xgboost', 'onnxmltools', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    project = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
