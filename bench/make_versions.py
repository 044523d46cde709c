"""Write roots of LightGBM versions for the benchmark: a booster of random numbers, in as many versions as asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from peers import PROJECT

sys.path.insert(0, str(PROJECT))
from tests.artifacts.versions.large_models import write_large_model

if TYPE_CHECKING:
    import lightgbm

CLASSES = ("DOWN", "FLAT", "UP")
ROWS, ROUNDS, LEAVES = 2_000, 20, 7
LARGE_LEAVES = 255


def write_versions(root: Path, models: int, versions: int, features: int) -> None:
    """Write ``versions`` versions of each of ``models`` models below ``root``: five files each, no two models alike."""
    booster = _booster(features, LEAVES, ROUNDS)
    text = booster.model_to_string()
    names = booster.feature_name()
    counts = booster.feature_importance("split").tolist()
    for number in range(models * versions):
        model, patch = divmod(number, versions)
        folder = root / f"model-{model:04d}" / f"v1.0.{patch}"
        folder.mkdir(parents=True)
        matrix = [[30 + number % 7, 10, 5], [12, 40, 9], [4, 8, 33]]
        right, all_rows = sum(matrix[at][at] for at in range(3)), sum(map(sum, matrix))
        (folder / "model.txt").write_text(f"{text}\nwritten as number {number}\n", encoding="utf-8")
        documents = {
            "normalizer.json": {name: {"mean": number / 7 + at, "std": 1 + at / 3} for at, name in enumerate(names)},
            "metadata.json": {
                "model_version": f"v1.0.{patch}",
                "model_type": "lightgbm",
                "algorithm": "LightGBM",
                "objective": "multiclass",
                "num_classes": len(CLASSES),
                "classes": CLASSES,
                "training_date": "2026-01-01T00:00:00Z",
                "training_examples": ROWS,
                "validation_examples": ROWS // 4,
                "num_features": features,
                "performance": {"validation_accuracy": 0.6, "best_iteration": ROUNDS, "total_iterations": ROUNDS},
                "feature_names": names,
                "top_features": [
                    {"feature": name, "importance": count} for name, count in zip(names, counts, strict=True)
                ][:15],
                "hyperparameters": {"num_leaves": LEAVES, "learning_rate": 0.1},
                "notes": f"Number {number}.",
            },
            "test_evaluation.json": {
                "test_examples": all_rows,
                "accuracy": right / all_rows,
                "confusion_matrix": matrix,
                "per_class_metrics": {
                    name: {"precision": 0.5, "recall": 0.6, "f1_score": 0.55, "support": sum(row)}
                    for name, row in zip(CLASSES, matrix, strict=True)
                },
            },
        }
        for name, document in documents.items():
            (folder / name).write_text(json.dumps(document), encoding="utf-8")
        rows = "".join(f"{name},{count}\n" for name, count in zip(names, counts, strict=True))
        (folder / "feature_importance.csv").write_text(f"feature,importance\n{rows}", encoding="utf-8")


def write_large_version(folder: Path, size_bytes: int) -> int:
    """Write a version of nothing but a model of at least ``size_bytes``, of large trees; return how many."""
    folder.mkdir(parents=True)
    return write_large_model(folder / "model.txt", _booster(4, LARGE_LEAVES, 2).model_to_string(), size_bytes)


def _booster(features: int, leaves: int, rounds: int) -> lightgbm.Booster:
    import lightgbm  # here: it takes seconds, and refusing an option needs none of it

    generator = np.random.default_rng(1)
    values = generator.normal(size=(ROWS, features))
    label = np.digitize(values[:, 0] + values[:, 1] * values[:, 2], [-0.5, 0.5])
    settings = {
        "objective": "multiclass",
        "num_class": len(CLASSES),
        "num_leaves": leaves,
        "min_data_in_leaf": 2,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 1,
        "verbose": -1,
    }
    names = [f"momentum_{number}_of_close" for number in range(features)]
    return lightgbm.train(settings, lightgbm.Dataset(values, label, feature_name=names), rounds)
