"""States with versions: a family of three, training runs below a managed root, and names that would like to be HTML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mm_core import versions
from mm_core.domain.lifecycle import Status
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import Author
from mm_core.settings import load_settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import CLASSES, WriteVersion, lightgbm_booster, metadata, write_version
from tests.versions.conftest import METRICS, write_run_below
from tests.versions.conftest import metadata as run_metadata

__all__ = ["lightgbm_booster", "runs_state", "version_state", "write_version"]

FAMILY = "sentiment-fusion"
ANN, BOB = Author("ann", "figures were looked at"), Author("bob", "quiet week")
EVALUATION: dict[str, Any] = {
    "accuracy": 0.62,
    "test_examples": 100,
    "baseline_majority": 0.4,
    "per_class_metrics": {
        name: {"precision": 0.6, "recall": 0.6, "f1_score": 0.6, "support": support}
        for name, support in zip(CLASSES, (30, 40, 30), strict=True)
    },
    "confusion_matrix": [[18, 8, 4], [6, 26, 8], [3, 9, 18]],
}
PERFORMANCE = {"validation_accuracy": 0.7, "best_iteration": 5, "total_iterations": 5}
RUNS = ("20250701_120000", "20250708_120000", "20250715_120000", "20250722_120000")


def register(registry: Registry, version: str, status: Status = Status.TRAINING) -> None:
    """Register a version of the family and bring it to a status by legal moves."""
    document = {
        "model_name": FAMILY,
        "model_version": version,
        "model_type": "lightgbm",
        "objective": "direction_classification",
        "target_variable": "price_direction_3d",
        "prediction_horizon": "1w",
        "validation_score": 0.65,
    }
    record = registry.lifecycle.register(document, ANN).record
    for step in (Status.VALIDATED, Status.DEPLOYED):
        if status in (step, Status.DEPLOYED):
            record = registry.lifecycle.move(record, step, BOB)


@pytest.fixture
def version_state(empty_state: dict[str, str], write_version: WriteVersion) -> Registry:
    """v1.0.0 is deployed, v1.1.0 validated, v1.2.0 cannot predict and nobody registered it."""
    write_version("v1.0.0")
    write_version(
        "v1.1.0",
        metadata_json=metadata("v1.1.0", performance=PERFORMANCE, hyperparameters={"num_leaves": 7}),
        test_evaluation_json=EVALUATION,
    )
    root = write_version("v1.2.0", normalizer_json=None)
    registry = open_registry(load_settings(empty_state))
    registry.registrations.register("fusion", str(root))
    register(registry, "v1.0.0", Status.DEPLOYED)
    register(registry, "v1.1.0", Status.VALIDATED)
    return registry


@pytest.fixture
def runs_state(empty_state: dict[str, str], tmp_path: Path) -> Callable[..., Registry]:
    """Register four training runs below ``tmp_path/models``, the first of which has figures that cannot be."""

    def make(*, is_managed: bool = True) -> Registry:
        root = tmp_path / "models"
        root.mkdir()
        if is_managed:
            versions.init(root)
        impossible = {"lstm": {**METRICS, "sharpe_ratio": 82.96}, "xgboost": dict(METRICS)}
        write_run_below(root, RUNS[0], run_metadata(performance_metrics=impossible))
        for name in RUNS[1:]:
            write_run_below(root, name)
        (root / "latest").symlink_to(RUNS[3])
        registry = open_registry(load_settings(empty_state))
        registry.registrations.register("daily", str(root))
        return registry

    return make
