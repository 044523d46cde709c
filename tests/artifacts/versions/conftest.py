"""A version directory as the guide wants it, with a booster that LightGBM trained."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

FEATURES = ("momentum_5d", "volatility_20d", "spread", "volume")
CLASSES = ("DOWN", "NEUTRAL", "UP")

WriteVersion = Callable[..., Path]


@pytest.fixture(scope="session")
def lightgbm_booster() -> lightgbm.Booster:
    """Four features, three classes, five rounds."""
    generator = np.random.default_rng(3)
    features = generator.normal(size=(400, len(FEATURES)))
    labels = np.digitize(features[:, 0] - features[:, 2] + generator.normal(scale=0.3, size=400), [-0.6, 0.6])
    data = lightgbm.Dataset(features, labels, feature_name=list(FEATURES))
    parameters = {"objective": "multiclass", "num_class": 3, "num_leaves": 7, "verbose": -1, "num_threads": 1}
    return lightgbm.train(parameters, data, num_boost_round=5)


@pytest.fixture
def write_version(tmp_path: Path, lightgbm_booster: lightgbm.Booster) -> WriteVersion:
    """Write ``root/sentiment-fusion/v1.1.0``; keyword arguments replace a file's content, None leaves it out."""

    def write(version: str = "v1.1.0", model: str = "sentiment-fusion", **files: Any) -> Path:
        splits = lightgbm_booster.feature_importance("split")
        table = io.StringIO()
        ranked = sorted(zip(FEATURES, splits, strict=True), key=lambda pair: -pair[1])
        csv.writer(table).writerows([("feature", "importance"), *ranked])
        whole: dict[str, Any] = {
            "model_txt": lightgbm_booster.model_to_string(),
            "normalizer_json": {name: {"mean": 0.5, "std": 2.0} for name in FEATURES},
            "metadata_json": metadata(version),
            "feature_importance_csv": table.getvalue(),
            "test_evaluation_json": {"accuracy": 0.65, "test_examples": 100, "baseline_majority": 0.4},
            **files,
        }
        directory = tmp_path / "root" / model / version
        directory.mkdir(parents=True)
        for role, content in whole.items():
            if content is not None:
                stem, _, suffix = role.rpartition("_")
                text = content if isinstance(content, str) else json.dumps(content)
                (directory / f"{stem}.{suffix}").write_text(text)
        return tmp_path / "root"

    return write


def metadata(version: str, **replaced: Any) -> dict[str, Any]:
    """Return the guide's metadata of the booster."""
    return {
        "model_version": version,
        "model_type": "sentiment-fusion",
        "algorithm": "LightGBM",
        "objective": "multiclass",
        "num_classes": 3,
        "classes": list(CLASSES),
        "training_date": "2025-10-09T21:09:18.536489",
        "training_examples": 400,
        "validation_examples": 100,
        "num_features": len(FEATURES),
        "performance": {"validation_accuracy": 0.65, "best_iteration": 5, "total_iterations": 5},
        **replaced,
    }
