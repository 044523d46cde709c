"""What a prediction costs: the first of a fresh predictor, then warm ones, beside the library in its own process."""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import numpy as np
import psutil
import xgboost
from peers import PROJECT
from table import aligned, machine

sys.path.insert(0, str(PROJECT))
from mm_core.prediction import ModelFormat, PredictingModel, Predictor

FEATURES, CLASSES, SAMPLES = 45, 3, 2000
BATCHES = (1, 100, 1000)
THREADS = 4


def main() -> int:
    """Measure, print a table; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="predictions of one row; a tenth of it of more rows")
    parser.add_argument("--trees", type=int, default=200, help="rounds of boosting; each has a tree for each class")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="model-manager-bench-") as work:
        figures = {
            "lightgbm": _lightgbm(Path(work), chosen.trees, chosen.rounds),
            "xgboost": _xgboost(Path(work), chosen.trees, chosen.rounds),
        }
    facts = machine(None, str)
    facts["model"] = f"{FEATURES} features, {CLASSES} classes, {chosen.trees * CLASSES} trees"
    for name in ("nginx", "load"):
        facts.pop(name, None)
    print("\n".join(f"- {name}: {fact}" for name, fact in facts.items()) + "\n")
    names = list(figures["lightgbm"])
    print(aligned([["figure", *figures], *([name, *(f"{figures[of][name]:.3g}" for of in figures)] for name in names)]))
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps({"machine": facts, **figures}, indent=1) + "\n", encoding="utf-8")
    return 0


def _data() -> tuple[np.ndarray, np.ndarray, list[str]]:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(SAMPLES, FEATURES))
    label = np.digitize(features[:, 0] + features[:, 1] * features[:, 2], [-0.5, 0.5])
    return features, label, [f"feature_{number}" for number in range(FEATURES)]


def _lightgbm(work: Path, trees: int, rounds: int) -> dict[str, float]:
    features, label, names = _data()
    settings = {"objective": "multiclass", "num_class": CLASSES, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(features, label, feature_name=names), trees)
    model = _written(work / "model.txt", booster.model_to_string().encode(), ModelFormat.LIGHTGBM_TEXT)
    return _measured(model, features, names, rounds, lambda rows: booster.predict(rows, num_threads=1))


def _xgboost(work: Path, trees: int, rounds: int) -> dict[str, float]:
    features, label, names = _data()
    settings = {"objective": "multi:softprob", "num_class": CLASSES, "nthread": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(features, label, feature_names=names), trees)
    model = _written(work / "model.json", bytes(booster.save_raw("json")), ModelFormat.XGBOOST_JSON)

    def alone(rows: np.ndarray) -> object:
        return booster.predict(xgboost.DMatrix(rows, feature_names=names, nthread=1))

    return _measured(model, features, names, rounds, alone)


def _written(path: Path, data: bytes, model_format: ModelFormat) -> PredictingModel:
    path.write_bytes(data)
    return PredictingModel(path, hashlib.sha256(data).hexdigest(), model_format)


def _measured(
    model: PredictingModel, features: np.ndarray, names: list[str], rounds: int, alone: Callable[[np.ndarray], object]
) -> dict[str, float]:
    rows = [dict(zip(names, map(float, row), strict=True)) for row in features[: max(BATCHES)]]
    figures = {"model, MB": model.path.stat().st_size / 1e6}
    cold = []
    for _ in range(3):
        predictor = Predictor()
        cold.append(_seconds(lambda predictor=predictor: predictor.predict(model, rows[:1])))
        predictor.close()
    figures["first prediction, ms"] = 1e3 * statistics.median(cold)
    predictor = Predictor()
    predictor.predict(model, rows[:1])
    for batch in BATCHES:
        turns = rounds if batch == 1 else max(rounds // 10, 3)
        ours, theirs = [], []
        for _ in range(turns):
            ours.append(_seconds(lambda batch=batch: predictor.predict(model, rows[:batch])))
            theirs.append(_seconds(lambda batch=batch: alone(features[:batch])))
        figures[f"{batch} rows, p50 ms"] = 1e3 * statistics.median(ours)
        figures[f"{batch} rows, p99 ms"] = 1e3 * sorted(ours)[int(0.99 * (turns - 1))]
        figures[f"{batch} rows in the library's own process, p50 ms"] = 1e3 * statistics.median(theirs)
    with ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        list(threads.map(lambda _: predictor.predict(model, rows[:1]), range(rounds)))
        figures[f"{THREADS} threads, predictions/s"] = rounds / (time.perf_counter() - began)
    figures["child, MB resident"] = psutil.Process(predictor.pids()[0]).memory_info().rss / 1e6
    predictor.close()
    return figures


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
