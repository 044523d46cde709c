"""Metadata, evaluation and importance of a version, as real files write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mm_core.artifacts.readers.evaluation_json import read_evaluation
from mm_core.artifacts.readers.importance_csv import read_importance
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.version_metadata import FIELDS, read_version_metadata
from mm_core.domain.versions import ClassMetrics, Evaluation, VersionMetadata
from mm_core.errors import UnreadableArtifact

GUIDE: dict[str, Any] = {
    "model_version": "v1.1.0",
    "model_type": "sentiment-fusion",
    "algorithm": "LightGBM",
    "objective": "multiclass",
    "num_classes": 3,
    "classes": ["DOWN", "NEUTRAL", "UP"],
    "training_date": "2025-10-09T21:09:18.536489",
    "training_examples": 34846,
    "validation_examples": 7467,
    "num_features": 45,
    "performance": {"validation_accuracy": 0.5380, "best_iteration": 1000, "total_iterations": 1000},
}


def _metadata(document: Any) -> tuple[VersionMetadata, list[tuple[str, str]]]:
    report = FileReport("metadata.json")
    found = read_version_metadata(json.dumps(document).encode(), report)
    return found, [(finding.code, finding.detail) for finding in report.findings()]


def test_the_guides_metadata_is_read_without_a_finding() -> None:
    found, findings = _metadata({**GUIDE, "feature_categories": {"sentiment": 4}})
    assert findings == []
    assert (found.model_version, found.num_classes, found.num_features) == ("v1.1.0", 3, 45)
    assert found.classes == ("DOWN", "NEUTRAL", "UP")
    assert (found.validation_accuracy, found.best_iteration) == (0.538, 1000)
    assert found.extra == {"feature_categories": {"sentiment": 4}}


@pytest.mark.parametrize(
    ("place", "alias", "document"),
    [
        ("model_version", "version", {"version": "1.1.0"}),
        ("training_date", "trainedAt", {"trainedAt": "2025-10-09"}),
        ("classes", "class_labels", {"class_labels": ["DOWN", "NEUTRAL", "UP"]}),
        ("classes", "label_mapping", {"label_mapping": {"10": "UP", "2": "NEUTRAL", "0": "DOWN"}}),
        ("training_examples", "num_train_examples", {"num_train_examples": 34846.0}),
        ("objective", "hyperparameters.objective", {"hyperparameters": {"objective": "multiclass"}}),
    ],
)
def test_a_field_under_another_name_is_read_and_is_a_finding(place: str, alias: str, document: dict[str, Any]) -> None:
    rest = {name: value for name, value in GUIDE.items() if name != place}
    found, findings = _metadata({**rest, **document})
    plain, _ = _metadata(GUIDE)
    assert findings == [("metadata-alias", f"'{place}' is written as '{alias}'.")]
    if place not in {"model_version", "training_date"}:
        assert getattr(found, place) == getattr(plain, place)


@pytest.mark.parametrize(
    ("lists", "is_doubtful"),
    [
        ({"label_mapping": {"0": "UP", "1": "NEUTRAL", "2": "DOWN"}}, True),
        ({"class_labels": ["DOWN", "UP"]}, True),
        ({"label_mapping": {"2": "UP", "0": "DOWN", "1": "NEUTRAL"}, "class_labels": ["DOWN", "NEUTRAL", "UP"]}, False),
        ({"class_labels": [0, 1, 2]}, False),
        ({"class_labels": {"DOWN": 0}}, False),
        ({"classes": ["DOWN", "DOWN", "UP"]}, True),
    ],
)
def test_classes_in_two_orders_or_of_one_name_keep_a_version_from_predicting(
    lists: dict[str, Any], is_doubtful: bool
) -> None:
    _, findings = _metadata({**GUIDE, **lists})
    assert [code for code, _ in findings] == (["classes-mismatch"] if is_doubtful else [])


@pytest.mark.parametrize(
    ("lists", "is_doubtful"),
    [
        ({"feature_names": ["a", "b"], "features": ["b", "a"]}, True),
        ({"feature_names": ["a", "b"], "feature_cols": ["a", "b"]}, False),
        ({"feature_names": ["a", "b"], "features": ["sentiment", "price", "volume"]}, False),
    ],
)
def test_features_that_stand_in_two_orders_keep_a_version_from_predicting(
    lists: dict[str, Any], is_doubtful: bool
) -> None:
    _, findings = _metadata({**GUIDE, **lists})
    assert [code for code, _ in findings] == (["features-mismatch"] if is_doubtful else [])


@pytest.mark.parametrize("objective", ["regression", "quantile alpha:0.9", "huber", "lambdarank"])
def test_a_regression_or_a_ranking_lacks_neither_classes_nor_an_accuracy(objective: str) -> None:
    rest = {name: value for name, value in GUIDE.items() if name not in {"classes", "num_classes"}}
    performance = {"best_iteration": 3, "total_iterations": 4}
    _, findings = _metadata({**rest, "objective": objective, "performance": performance})
    assert findings == []
    _, findings = _metadata({**rest, "objective": "binary", "performance": performance})
    assert [code for code, _ in findings] == ["metadata-field-missing"] * 3


@pytest.mark.parametrize("accuracy", [53.8, -0.1])
def test_an_accuracy_that_is_no_share_is_a_finding(accuracy: float) -> None:
    _, findings = _metadata({**GUIDE, "performance": {**GUIDE["performance"], "validation_accuracy": accuracy}})
    assert [code for code, _ in findings] == ["implausible-metrics"]


@pytest.mark.parametrize("alias", ["metrics", "validation_metrics", "validationMetrics", "val_metrics"])
def test_the_accuracy_has_many_names(alias: str) -> None:
    performance = {"best_iteration": 3, "total_iterations": 4}
    found, findings = _metadata({**GUIDE, "performance": performance, alias: {"accuracy": 0.5}})
    assert found.validation_accuracy == 0.5
    assert findings == [("metadata-alias", f"'performance.validation_accuracy' is written as '{alias}.accuracy'.")]


def test_counts_follow_from_the_lists_and_what_is_missing_is_named() -> None:
    document = {"classes": ["A", "B"], "features": ["x", "y", "z"], "top_features": [{"feature": "y", "importance": 5}]}
    found, findings = _metadata(document)
    assert (found.num_classes, found.num_features, found.feature_names) == (2, 3, ("x", "y", "z"))
    assert found.feature_importance == {"y": 5.0}
    missing = {detail.split("'")[1] for code, detail in findings if code == "metadata-field-missing"}
    required = {field.place for field in FIELDS if field.required}
    assert missing == required - {"classes", "num_classes", "num_features"}


def test_nan_in_metadata_is_a_finding_and_becomes_nothing() -> None:
    report = FileReport("metadata.json")
    text = json.dumps({**GUIDE, "performance": {**GUIDE["performance"], "validation_accuracy": float("nan")}})
    found = read_version_metadata(text.encode(), report)
    assert found.validation_accuracy is None
    assert [finding.code for finding in report.findings()] == ["non-strict-json", "metadata-field-missing"]


def test_what_stands_beside_a_field_in_its_object_is_kept_as_it_is() -> None:
    metrics = {"accuracy": 0.61, "roc_auc": 0.7, "confusion_matrix": [[1, 2], [3, 4]]}
    performance = {**GUIDE["performance"], "train_accuracy": 0.9}
    rest = {name: value for name, value in GUIDE.items() if name != "performance"}
    found, _ = _metadata({**rest, "val_metrics": metrics, "train_metrics": {"roc_auc": 0.8}})
    assert (found.validation_accuracy, found.extra) == (
        0.61,
        {"val_metrics": metrics, "train_metrics": {"roc_auc": 0.8}},
    )
    assert _metadata({**GUIDE, "performance": performance})[0].extra == {"performance": performance}


@pytest.mark.parametrize("key", ["1" * 5000, "0" * 5000, "1" * 19])
def test_a_label_mapping_by_numbers_that_nobody_counts_to_is_no_value_of_its_kind(key: str) -> None:
    rest = {name: value for name, value in GUIDE.items() if name != "classes"}
    found, findings = _metadata({**rest, "label_mapping": {key: "UP"}})
    assert found.classes == ()
    assert [code for code, _ in findings] == ["metadata-field-missing"]


MATRIX = [[30, 5, 5], [10, 20, 10], [2, 3, 15]]


def _evaluation(document: Any) -> tuple[Evaluation, list[str]]:
    report = FileReport("test_evaluation.json")
    found = read_evaluation(json.dumps(document).encode(), report)
    return found, [finding.code for finding in report.findings()]


def test_the_full_evaluation_is_read() -> None:
    metrics = {"UP": {"precision": 0.5, "recall": 0.75, "f1_score": 0.6, "support": 20}}
    found, codes = _evaluation(
        {
            "test_examples": 100,
            "accuracy": 0.65,
            "baseline_majority": 0.4,
            "per_class_metrics": metrics,
            "confusion_matrix": MATRIX,
            "macro_roc_auc": 0.7,
        }
    )
    assert codes == []
    assert (found.accuracy, found.examples, found.majority_baseline) == (0.65, 100, 0.4)
    assert found.accuracy_of_matrix == 0.65
    assert found.per_class == {"UP": ClassMetrics(0.5, 0.75, 0.6, 20)}
    assert found.extra == {"macro_roc_auc": 0.7}


@pytest.mark.parametrize(
    "document",
    [
        {"test_accuracy": 0.61, "test_samples": 100},
        {"metrics": {"accuracy": 0.61}, "test_samples": 100.0},
        {"metrics": {"roc_auc_weighted": 0.7}, "accuracy": 0.61, "test_samples": 100},
        {"accuracy": None, "test_accuracy": 0.61, "test_examples": None, "test_samples": 100},
    ],
)
def test_the_other_forms_give_accuracy_and_count(document: dict[str, Any]) -> None:
    found, codes = _evaluation(document)
    assert (found.accuracy, found.examples, codes) == (0.61, 100, [])


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"accuracy": 0.66, "confusion_matrix": MATRIX}, "implausible-metrics"),
        ({"accuracy": 53.8}, "implausible-metrics"),
        ({"test_accuracy": -0.1}, "implausible-metrics"),
        ({"accuracy": 0.66, "max_drawdown": 6250000}, "implausible-metrics"),
        ({"metrics": {"accuracy": 0.66, "sharpe_ratio": 82.96}}, "implausible-metrics"),
        ({"accuracy": 0.4, "confusion_matrix": [[0, 40], [20, 40]]}, "test-not-above-majority"),
        ({"accuracy": 0.4, "baseline_majority": 0.45}, "test-not-above-majority"),
        ({"accuracy": 0.6, "confusion_matrix": [[0, 40], [0, 60]]}, "constant-predictions"),
    ],
)
def test_doubtful_metrics_are_findings(document: dict[str, Any], code: str) -> None:
    assert code in _evaluation(document)[1]


@pytest.mark.parametrize("accuracy", [2 / 3, 0.666667, 0.6667])
def test_an_accuracy_that_was_rounded_to_four_digits_or_more_agrees_with_its_matrix(accuracy: float) -> None:
    assert _evaluation({"accuracy": accuracy, "confusion_matrix": [[20, 10], [10, 20]]})[1] == []
    assert _evaluation({"accuracy": accuracy + 1e-4, "confusion_matrix": [[20, 10], [10, 20]]})[1] != []


@pytest.mark.parametrize(
    "matrix", [[[1, 2]], [[1, -2], [3, 4]], [["a", 2], [3, 4]], "x", [[1, 2], 5], [[0.5, 1], [1, 1]]]
)
def test_a_matrix_that_is_none_is_left_out(matrix: Any) -> None:
    assert _evaluation({"confusion_matrix": matrix})[0].confusion_matrix == ()


def test_importance_keeps_file_order_and_rows_that_are_none_are_findings() -> None:
    report = FileReport("feature_importance.csv")
    data = b"feature,importance\nb,20\na,3.5\na,4\n,5\nc,nan\nd\n"
    assert list(read_importance(data, report).items()) == [("b", 20.0), ("a", 3.5)]
    assert [(finding.code, finding.line) for finding in report.findings()] == [
        ("bad-row", line) for line in (4, 5, 6, 7)
    ]
    with pytest.raises(UnreadableArtifact, match="lacks feature or importance"):
        read_importance(b"name,gain\na,1\n", report)
