"""Boosters as ONNX: equal predictions, and a child that may fail without harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest
import xgboost

from mm_core.conversion import ConversionLimits, OnnxConverter, onnx_child, onnx_converter
from mm_core.errors import ConversionFailed, ExtraMissing

PROJECT = Path(__file__).parent.parent.parent
ROWS = np.random.default_rng(3).normal(size=(200, 4)).astype("float32")
UP = (ROWS[:, 1] > 0.2).astype(int)
THIRD = np.digitize(ROWS[:, 2], [-0.5, 0.5])
RETURN = ROWS[:, 0] * 2 + 3
LABELS = {
    "reg:squarederror": RETURN,
    "reg:absoluteerror": RETURN,
    "count:poisson": np.abs(RETURN),
    "binary:logistic": UP,
    "binary:logitraw": UP,
    "multi:softprob": THIRD,
    "multi:softmax": THIRD,
    "rank:pairwise": THIRD,
}
FOREST: dict[str, object] = {"num_parallel_tree": 4, "subsample": 0.7}


def _booster(objective: str, rows: np.ndarray = ROWS, scale: float = 1.0, **parameters: object) -> xgboost.Booster:
    grouped = {"group": [len(rows)]} if objective.startswith("rank") else {}
    data = xgboost.DMatrix(rows, LABELS[objective] * scale, feature_names=["a b", "c", "d", "e"], **grouped)
    extra = {"num_class": 3} if objective.startswith("multi") else {}
    return xgboost.train({"objective": objective, "nthread": 1, **extra, **parameters}, data, num_boost_round=12)


def _saved(booster: xgboost.Booster) -> bytes:
    return bytes(booster.save_raw("json"))


def _of_onnx(data: bytes, objective: str, rows: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    got = np.asarray(session.run(None, {"input": rows})[-1])
    if objective == "binary:logistic":
        return got[:, 1]
    return got.argmax(axis=1) if objective == "multi:softmax" else got


def _converted_here(model_json: bytes) -> bytes:
    """Convert as the child does, without the second and a half that its libraries take."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return onnx_child.convert(model_json)


def _assert_equal_predictions(
    booster: xgboost.Booster,
    objective: str,
    rows: np.ndarray,
    scale: float = 1.0,
    convert: Callable[[bytes], bytes] = _converted_here,
) -> None:
    got = _of_onnx(convert(_saved(booster)), objective, rows)
    expected = booster.predict(xgboost.DMatrix(rows, feature_names=booster.feature_names))
    np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.fixture
def other_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program that misbehaves in the child's place."""

    def put(program: str) -> None:
        (tmp_path / "child.py").write_text(program, encoding="utf-8")
        monkeypatch.setattr(onnx_converter, "CHILD", tmp_path / "child.py")

    return put


@pytest.mark.parametrize("objective", sorted(LABELS))
def test_onnx_predicts_as_the_booster_does(objective: str) -> None:
    rows = ROWS.copy()
    rows[::5, ::2] = np.nan
    _assert_equal_predictions(_booster(objective), objective, rows, convert=OnnxConverter().convert)


@pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logistic", "multi:softprob"])
def test_a_forest_predicts_as_the_booster_does(objective: str) -> None:
    _assert_equal_predictions(_booster(objective, **FOREST), objective, ROWS)


@pytest.mark.parametrize("base_score", [0.0, 0.3, 2.5])
def test_the_base_score_is_kept(base_score: float) -> None:
    _assert_equal_predictions(_booster("reg:squarederror", base_score=base_score), "reg:squarederror", ROWS)


@pytest.mark.parametrize("scale", [1e-6, 1e5])
def test_labels_of_any_size_convert(scale: float) -> None:
    _assert_equal_predictions(_booster("reg:squarederror", scale=scale), "reg:squarederror", ROWS, scale)


def test_a_value_on_a_threshold_goes_the_same_way() -> None:
    prices = (ROWS * 2000 + 40000).astype("float32")
    booster = _booster("reg:squarederror", rows=prices)
    frame = booster.trees_to_dataframe()
    splits = frame[frame.Feature == "a b"].Split.to_numpy(dtype="float32")
    rows = np.full((len(splits), 4), 40000, dtype="float32")
    rows[:, 0] = splits
    _assert_equal_predictions(booster, "reg:squarederror", rows)


def test_all_trees_are_converted_after_an_early_stop() -> None:
    data = xgboost.DMatrix(ROWS, np.random.default_rng(1).normal(size=200))
    other = xgboost.DMatrix(ROWS, np.random.default_rng(2).normal(size=200))
    booster = xgboost.train(
        {"nthread": 1}, data, 50, evals=[(other, "other")], early_stopping_rounds=3, verbose_eval=False
    )
    assert booster.best_iteration + 1 < booster.num_boosted_rounds()
    _assert_equal_predictions(booster, "reg:squarederror", ROWS)


def test_a_classifier_whose_covers_are_whole_numbers_is_no_regression() -> None:
    order = np.arange(200, dtype="float32").reshape(50, 4)
    parameters = {"objective": "binary:logistic", "base_score": 0.5, "max_depth": 1, "nthread": 1, "lambda": 0}
    booster = xgboost.train(parameters, xgboost.DMatrix(np.tile(order, (2, 1)), np.tile(order[:, 0] >= 96, 2)), 1)
    assert [float(cover) for cover in booster.trees_to_dataframe().Cover] == [25, 12, 13]
    _assert_equal_predictions(booster, "binary:logistic", order)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_converter, "onnx_extra_installed", lambda: False)
    with pytest.raises(ExtraMissing, match=r"pip install -r requirements-onnx\.txt"):
        OnnxConverter().convert(b"{}")


def test_a_missing_package_is_noticed_without_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    assert onnx_converter.onnx_extra_installed()
    monkeypatch.setattr(onnx_converter, "MODULES", ("xgboost", "a_package_that_is_not_there"))
    assert not onnx_converter.onnx_extra_installed()


@pytest.mark.parametrize("kind", ["gblinear", "dart"])
def test_a_kind_of_booster_without_an_onnx_form_is_refused_with_its_name(kind: str) -> None:
    with pytest.raises(ConversionFailed, match=f"a booster of kind '{kind}' has no ONNX form"):
        OnnxConverter().convert(_saved(_booster("reg:squarederror", booster=kind)))


def test_splits_on_categories_are_refused() -> None:
    codes = np.column_stack([np.arange(200) % 6, ROWS[:, 0]]).astype("float32")
    data = xgboost.DMatrix(codes, np.isin(codes[:, 0], [1, 3]) * 2.0, feature_types=["c", "q"], enable_categorical=True)
    with pytest.raises(ConversionFailed, match="categories"):
        OnnxConverter().convert(_saved(xgboost.train({"nthread": 1}, data, 3)))


def test_a_booster_of_several_targets_is_refused() -> None:
    data = xgboost.DMatrix(ROWS, np.column_stack([RETURN, -RETURN]))
    with pytest.raises(ConversionFailed, match="a booster of 2 targets"):
        OnnxConverter().convert(_saved(xgboost.train({"nthread": 1}, data, 3)))


def test_a_booster_without_trees_is_refused() -> None:
    data = xgboost.DMatrix(ROWS, RETURN)
    with pytest.raises(ConversionFailed, match="no trees"):
        OnnxConverter().convert(_saved(xgboost.train({"nthread": 1}, data, 0)))


@pytest.mark.parametrize(
    "data", [b"", b"no json", b"[]", b"{}", b'{"learner": {"gradient_booster": {"name": "gbtree"}}}', b"[" * 100_000]
)
def test_anything_else_is_a_failed_conversion(data: bytes) -> None:
    with pytest.raises(ConversionFailed, match=r"failed: the model is no XGBoost JSON\. Ship"):
        OnnxConverter().convert(data)


def test_a_damaged_booster_fails_with_a_reason() -> None:
    damaged = _saved(_booster("reg:squarederror")).replace(b'"left_children":[', b'"left_children":[9999999,')
    with pytest.raises(ConversionFailed, match=r"failed: \w"):
        OnnxConverter().convert(damaged)


def test_a_conversion_that_takes_too_long_is_ended_and_leaves_no_child() -> None:
    started = time.monotonic()
    with pytest.raises(ConversionFailed, match=r"longer than 0\.05 s"):
        OnnxConverter(ConversionLimits(seconds=0.05)).convert(_saved(_booster("reg:squarederror")))
    assert time.monotonic() - started < 5
    assert psutil.Process().children(recursive=True) == []


@pytest.mark.parametrize("mebibytes", [64, 96, 128, 240])
def test_a_conversion_that_grows_too_large_is_ended(mebibytes: int) -> None:
    with pytest.raises(ConversionFailed, match=f"more than {mebibytes} MiB of memory"):
        OnnxConverter(ConversionLimits(memory_bytes=mebibytes << 20)).convert(_saved(_booster("reg:squarederror")))


def test_a_model_larger_than_the_limit_is_ended() -> None:
    with pytest.raises(ConversionFailed, match="more than 64 MiB of memory"):
        OnnxConverter(ConversionLimits(memory_bytes=64 << 20)).convert(b"{}" + b" " * (80 << 20))


@pytest.mark.parametrize("limits", [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_limits_are_positive(limits: tuple[float, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        ConversionLimits(*limits)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.abort()", "ended by SIGABRT"),
        ("import sys; sys.exit(3)", "ended with 3: it gave no reason"),
        ("raise RuntimeError('so')", "ended with 1: RuntimeError: so"),
        ("", "ended with 0"),
        ("import os, sys; sys.stderr.write('std::bad_alloc'); sys.stderr.flush(); os.abort()", "MiB of memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "60 s of processor time"),
    ],
)
def test_a_child_that_dies_is_a_sentence(other_child: Callable[[str], None], program: str, reason: str) -> None:
    other_child(program)
    with pytest.raises(ConversionFailed, match=reason):
        OnnxConverter().convert(b"{}")


def test_an_interrupted_parent_leaves_no_child(
    other_child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other_child("import time; time.sleep(60)")
    communicate = subprocess.Popen.communicate
    calls: list[object] = []

    def interrupted(process: subprocess.Popen[bytes], *arguments: object, **options: object) -> object:
        calls.append(process)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return communicate(process)

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        OnnxConverter().convert(b"{}")
    assert psutil.Process().children(recursive=True) == []


def test_a_killed_parent_leaves_no_child() -> None:
    # the child waits for the end of its input, which a third process holds open: only the signal can end it
    program = (
        "import os, subprocess, sys; from mm_core.conversion.onnx_converter import CHILD; "
        "from mm_core.child_processes import environment; "
        "command = [sys.executable, '-s', '-P', str(CHILD), str(4 << 30), '60', str(os.getpid())]; "
        "child = subprocess.Popen(command, stdin=sys.stdin, env=environment(), start_new_session=True); "
        "print(child.pid, flush=True); child.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.5)
    assert child.is_running()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    parent.stdin.close()
    parent.stdout.close()


def test_two_convert_at_once_and_the_others_wait(other_child: Callable[[str], None]) -> None:
    other_child("import time; time.sleep(0.4); print('done', end='')")
    converter = OnnxConverter()
    most, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            most.append(len(psutil.Process().children()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(converter.convert, [b"{}"] * 5)) == [b"done"] * 5
    stop.set()
    watcher.join()
    assert max(most) == 2


def test_waiting_for_others_ends_as_well(other_child: Callable[[str], None]) -> None:
    other_child("import time; time.sleep(60)")
    converter = OnnxConverter(ConversionLimits(seconds=1.0))

    for _ in range(onnx_converter.AT_ONCE):
        converter._places.acquire()
    with pytest.raises(ConversionFailed, match="2 others were still running after 1 s"):
        converter.convert(b"{}")
    for _ in range(onnx_converter.AT_ONCE):
        converter._places.release()
    with pytest.raises(ConversionFailed, match="longer than 1 s"):  # the places came back
        converter.convert(b"{}")


def test_the_parent_imports_no_foreign_library() -> None:
    program = (
        "import sys, mm_core.conversion as c; c.onnx_extra_installed(); "
        "print(sorted({'xgboost', 'onnxmltools', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
