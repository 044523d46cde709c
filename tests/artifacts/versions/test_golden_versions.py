"""A committed tree of versions and runs in the forms of the field, against values written down by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mm_core.artifacts.scan import scan_root
from mm_core.domain.groups import Scan
from mm_core.domain.versions import ClassMetrics, Normalizer

TREE = Path(__file__).parents[1] / "golden" / "versions"
FEATURES = ("sentiment_positive", "price_momentum_5d", "volatility 20d")
CANONICAL = Normalizer(FEATURES, (0.25, 0.0, 1.5), (0.5, 0.125, 2.0))

EXPECTED: dict[str, tuple[str, bool, dict[str, int]]] = {
    "early-signal/v1.0.0": (
        "2025-09-01T12:00:00.000+00:00",
        True,
        {
            "metadata-alias": 8, "normalizer-no-names": 1, "generic-feature-names": 1, "size": 1, "stray-model-json": 1,
        },
    ),
    "early-signal/v1.1.0-failed": (
        "2025-10-09T21:09:18.536+00:00",
        True,
        {
            "non-strict-json": 1, "normalizer-format": 1, "test-not-above-majority": 1, "constant-predictions": 1,
            "version-mismatch": 1, "degenerate-booster": 1, "size": 1,
        },
    ),
    "models/20250724_150837": (
        "2025-07-24T15:08:37.000+00:00",
        False,
        {"implausible-metrics": 2, "weights-without-file": 1, "broken-pickle": 1},
    ),
    "models/20250725_093000": (
        "2025-07-25T09:30:00.000+00:00",
        True,
        {"corrupt-metadata": 1, "no-model-for-bots": 1},
    ),
    "models/20250726_101500": ("2025-07-26T10:15:00.000+00:00", True, {}),
    "price-prediction/1.3.0": (
        "2025-10-09T21:09:18.536+00:00",
        True,
        {"normalizer-format": 1, "version-prefix": 1, "size": 1},
    ),
    "price-prediction/v1.2.0-baseline": (
        "2025-10-09T21:09:18.536+00:00",
        True,
        {"normalizer-format": 1, "tiny-std": 1, "size": 1},
    ),
    "sentiment-fusion/v1.0.0": (
        "2025-10-01T08:00:00.000+00:00",
        True,
        {"metadata-alias": 4, "normalizer-format": 1, "version-prefix": 1, "size": 1},
    ),
    "sentiment-fusion/v1.1.0": ("2025-10-09T21:09:18.536+00:00", True, {"size": 1}),
    "smart-money-flow/v3.0.0": (
        "2025-10-09T21:09:18.536+00:00",
        False,
        {"model-file-missing": 1, "normalizer-format": 1, "foreign-model-type": 1, "foreign-files": 1},
    ),
    "v2.0.0": ("2025-10-09T21:09:18.536+00:00", False, {"model-file-missing": 1, "normalizer-missing": 1}),
}  # fmt: skip


@pytest.fixture(scope="module")
def scan() -> Scan:
    """What the golden tree is read as."""
    return scan_root(TREE)


def test_the_golden_tree_has_these_versions_and_these_findings(scan: Scan) -> None:
    found = {
        path: (version.created_at, version.can_predict, dict(Counter(one.code for one in version.findings)))
        for path, version in scan.versions.items()
    }
    assert found == EXPECTED


def test_what_is_no_version_of_the_golden_tree_is_what_it_was(scan: Scan) -> None:
    assert list(scan.groups) == ["AAPL"]
    assert scan.findings == ()
    assert scan.latest == {"models": "models/20250724_150837", "sentiment-fusion": "sentiment-fusion/v1.1.0"}
    assert [(finding.code, finding.file) for finding in scan.twins] == [
        ("duplicate-model-file", "price-prediction/v1.2.0-baseline/model.txt"),
        ("duplicate-model-file", "sentiment-fusion/v1.0.0/model.txt"),
        ("duplicate-model-file", "sentiment-fusion/v1.1.0/model.txt"),
    ]


@pytest.mark.parametrize("path", [path for path in EXPECTED if path.count("/v") or path.endswith("1.3.0")])
def test_every_form_of_a_normalizer_becomes_one(scan: Scan, path: str) -> None:
    found = scan.versions[path].normalizer
    assert found is not None
    tiny = path.endswith("baseline")
    assert (found.feature_names, found.mean) == (FEATURES, CANONICAL.mean)
    assert found.std == ((0.5, 0.125, 5e-17) if tiny else CANONICAL.std)
    assert found.fill_values == ((0.0, 0.0, 1.0) if path == "sentiment-fusion/v1.0.0" else None)


def test_every_form_of_an_evaluation_becomes_one(scan: Scan) -> None:
    found = {path: version.evaluation for path, version in scan.versions.items() if version.evaluation is not None}
    figures = {path: (one.accuracy, one.examples, one.majority_baseline) for path, one in found.items()}
    assert figures == {
        "early-signal/v1.1.0-failed": (0.6, 100, 0.6),
        "price-prediction/v1.2.0-baseline": (0.55, None, None),
        "sentiment-fusion/v1.0.0": (0.61, 120, None),
        "sentiment-fusion/v1.1.0": (0.65, 100, 0.4),
    }
    assert found["sentiment-fusion/v1.1.0"].per_class == {"UP": ClassMetrics(0.5, 0.75, 0.6, 20)}


def test_the_metadata_of_the_golden_tree_has_canonical_names(scan: Scan) -> None:
    found = scan.versions["early-signal/v1.0.0"].metadata
    assert found is not None
    assert (found.classes, found.num_classes) == (("DOWN", "NEUTRAL", "UP"), 3)
    assert (found.training_examples, found.validation_examples, found.validation_accuracy) == (96, 24, 0.5)
    assert (found.feature_names, found.num_features, found.objective) == (FEATURES, 3, "multiclass")
    assert found.extra == {"normalizationParams": {"mean": [0.25, 0.0, 1.5], "std": [0.5, 0.125, 2.0]}}


def test_the_run_of_the_golden_tree_is_read_value_for_value(scan: Scan) -> None:
    version = scan.versions["models/20250724_150837"]
    assert (version.model_name, version.name, version.number, version.booster) == (
        "models", "20250724_150837", None, None
    )  # fmt: skip
    run = version.run
    assert run is not None
    assert run.timestamp == "2025-07-24T16:03:21.123456"
    assert run.performance_metrics["lstm"]["win_rate"] == 0.52
    assert run.performance_metrics["xgboost"]["max_drawdown"] == 6250000.0
    assert (run.trained_models, run.ensemble_weights["transformer"]) == (("lstm", "xgboost", "transformer"), 0.2)
    assert [(file.path.rpartition("/")[2], file.role.value) for file in version.files] == [
        ("lstm_model.h5", "run_model"),
        ("scalers.pkl", "scalers_pkl"),
        ("training_metadata.json", "training_metadata_json"),
        ("transformer_architecture.json", "other"),
        ("xgboost_model.pkl", "run_model"),
    ]


def test_the_xgboost_model_of_a_run_of_the_golden_tree_is_what_bots_are_given(scan: Scan) -> None:
    version = scan.versions["models/20250726_101500"]
    assert version.model is not None
    assert version.booster is not None
    assert version.normalizer is not None
    assert (str(version.model.model_format), version.model.source) == (
        "xgboost-json",
        "models/20250726_101500/xgboost_model.pkl",
    )
    assert (version.run_model, version.threshold) == ("xgboost", 0.52)
    assert version.booster.feature_names == version.normalizer.feature_names == ("momentum_5d", "spread", "volume")
    assert (version.booster.objective, version.booster.num_trees) == ("binary:logistic", 3)
    assert version.booster.splits == (3, 3, 0)
    assert version.normalizer.mean == pytest.approx((0.27985, -2.02055, 95.703), rel=1e-12)
    assert version.normalizer.std == pytest.approx((1.9487034649, 0.4704981908, 21.4891348445), rel=1e-9)
