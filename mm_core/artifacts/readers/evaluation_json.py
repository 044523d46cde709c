"""``test_evaluation.json``: how well a version did on data that it was not trained on, in any of three forms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mm_core.artifacts.readers.lenient_json import finite_or_none, read_object, whole_or_none
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.runs import impossible_metrics
from mm_core.domain.versions import ClassMetrics, Evaluation

Number = TypeVar("Number", int, float)

CLOSE_ENOUGH = 1e-6
"""Accuracies are written with six digits, or rounded to `FEWEST_DIGITS`."""

FEWEST_DIGITS = 4

_REMEDY = "Evaluate the version again on the test data."
_ACCURACY, _EXAMPLES = ("accuracy", "test_accuracy"), ("test_examples", "test_samples")


def read_evaluation(data: bytes, report: FileReport) -> Evaluation:
    """Return the evaluation in ``data``.

    Findings: an accuracy that is not that of the confusion matrix, one that does not beat always guessing the most
    frequent class, predictions that all fall into one class. Raises `UnreadableArtifact` for anything else than one
    JSON object.
    """
    document = read_object(data, report)
    metrics = document["metrics"] if isinstance(document.get("metrics"), dict) else document
    matrix = _matrix(document.get("confusion_matrix"))
    counted = sum(map(sum, matrix))
    evaluation = Evaluation(
        accuracy=_first(finite_or_none, (metrics, document), _ACCURACY),
        examples=_first(whole_or_none, (document,), _EXAMPLES) or counted or None,
        majority_baseline=_majority(document, matrix),
        per_class=_per_class(document.get("per_class_metrics")),
        confusion_matrix=matrix,
        extra={
            name: value
            for name, value in document.items()
            if name not in {*_ACCURACY, *_EXAMPLES, "confusion_matrix", "per_class_metrics", "baseline_majority"}
        },
    )
    _report_doubts(evaluation, report)
    report_impossible(
        {**{name: finite_or_none(value) for name, value in metrics.items()}, "accuracy": evaluation.accuracy}, report
    )
    return evaluation


def report_impossible(metrics: Mapping[str, float | None], report: FileReport) -> None:
    """Report ``implausible-metrics`` for each metric that no honest evaluation has."""
    for metric, value, reason in impossible_metrics(metrics):
        report.warn("implausible-metrics", f"{metric} is {value:.6g}: {reason}.", _REMEDY)


def _report_doubts(evaluation: Evaluation, report: FileReport) -> None:
    accuracy, of_matrix = evaluation.accuracy, evaluation.accuracy_of_matrix
    if accuracy is not None and of_matrix is not None and not _agree(accuracy, of_matrix):
        report.warn(
            "implausible-metrics",
            f"The accuracy is {accuracy:.6f}, the confusion matrix says {of_matrix:.6f}.",
            _REMEDY,
        )
    if (
        accuracy is not None
        and evaluation.majority_baseline is not None
        and accuracy <= evaluation.majority_baseline + CLOSE_ENOUGH
    ):
        report.warn(
            "test-not-above-majority",
            f"The accuracy of {accuracy:.4f} does not beat {evaluation.majority_baseline:.4f}, that of always guessing "
            "the most frequent class.",
            "Do not deploy it for its accuracy.",
        )
    columns = [sum(column) for column in zip(*evaluation.confusion_matrix, strict=True)]
    if len(columns) > 1 and sum(count > 0 for count in columns) == 1:
        report.warn("constant-predictions", "All predictions fall into one class.", "Look at the training's labels.")


def _agree(accuracy: float, of_matrix: float) -> bool:
    return math.isclose(accuracy, of_matrix, abs_tol=CLOSE_ENOUGH) or accuracy == round(of_matrix, FEWEST_DIGITS)


def _majority(document: Mapping[str, Any], matrix: tuple[tuple[int, ...], ...]) -> float | None:
    counted = sum(map(sum, matrix))
    if counted:
        return max(map(sum, matrix)) / counted
    return finite_or_none(document.get("baseline_majority"))


def _matrix(value: object) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list):
        return ()
    rows = tuple(tuple(whole_or_none(cell) for cell in row) for row in value if isinstance(row, list))
    if len(rows) != len(value) or any(len(row) != len(rows) for row in rows):
        return ()
    if any(cell is None or cell < 0 for row in rows for cell in row):
        return ()
    return tuple(tuple(cell or 0 for cell in row) for row in rows)


def _per_class(value: object) -> dict[str, ClassMetrics]:
    if not isinstance(value, dict):
        return {}
    return {
        name: ClassMetrics(
            precision=finite_or_none(entry.get("precision")),
            recall=finite_or_none(entry.get("recall")),
            f1_score=finite_or_none(entry.get("f1_score")),
            support=whole_or_none(entry.get("support")),
        )
        for name, entry in value.items()
        if isinstance(entry, dict)
    }


def _first(
    convert: Callable[[object], Number | None], objects: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Number | None:
    """Return the first of some values that is one."""
    values = (convert(document.get(name)) for document in objects for name in names)
    return next((value for value in values if value is not None), None)
