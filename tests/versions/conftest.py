"""Roots of training runs as they are found, and as they are managed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mm_core import versions

WriteRun = Callable[..., Path]

METRICS = {
    "accuracy": 0.5412,
    "precision": 0.55,
    "recall": 0.6,
    "sharpe_ratio": 1.7,
    "max_drawdown": 0.12,
    "win_rate": 0.53,
}
FILES = {"lstm_model.h5": b"\x89HDF\r\n\x1a\n" + bytes(992), "xgboost_model.pkl": b"\x80\x04." + bytes(497)}


def metadata(**replaced: Any) -> dict[str, Any]:
    """Return what the training of the runs here writes."""
    return {
        "timestamp": "2025-07-24T16:02:11",
        "model_configs": {"lstm": {"name": "lstm", "model_type": "neural_network", "feature_count": 12}},
        "performance_metrics": {"lstm": dict(METRICS), "xgboost": {**METRICS, "sharpe_ratio": 1.234567}},
        "ensemble_weights": {"lstm": 0.6, "xgboost": 0.4},
        "trained_models": ["lstm", "xgboost"],
        **replaced,
    }


def write_run_below(
    root: Path, version: str, about: Any = None, files: dict[str, bytes] | None = None, age_hours: float = 24
) -> Path:
    """Write a run; ``about`` replaces the metadata, False leaves it out; it was changed ``age_hours`` ago."""
    directory = root / version
    directory.mkdir(parents=True)
    for name, content in (FILES if files is None else files).items():
        (directory / name).write_bytes(content)
    if about is not False:
        data = about if isinstance(about, bytes) else json.dumps(about or metadata()).encode()
        (directory / "training_metadata.json").write_bytes(data)
    then = time.time() - age_hours * 3600
    for path in (*directory.iterdir(), directory):
        os.utime(path, (then, then))
    return directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory of runs that nobody manages."""
    path = tmp_path / "models"
    path.mkdir()
    return path


@pytest.fixture
def managed(root: Path) -> Path:
    """A managed root."""
    return versions.init(root)


@pytest.fixture
def write_run(root: Path) -> WriteRun:
    """Write a run below the root."""

    def write(version: str, about: Any = None, files: dict[str, bytes] | None = None, age_hours: float = 24) -> Path:
        return write_run_below(root, version, about, files, age_hours)

    return write


def names_below(root: Path) -> set[str]:
    """Return the names in a root, those of its management left out."""
    return {name for name in os.listdir(root) if name not in {".model-manager-root.json", ".model-manager-root.lock"}}
