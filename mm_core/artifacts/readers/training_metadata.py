"""``training_metadata.json`` of a run: configurations, metrics and weights of the models that it trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from mm_core.artifacts.readers.lenient_json import finite_or_none, read_object
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.runs import RunMetadata
from mm_core.errors import UnreadableArtifact

CORRUPT = "corrupt-metadata"

_REMEDY = "Publish the run again; without metadata its models are still there."
_NAMES = frozenset(
    {
        "timestamp",
        "model_configs",
        "performance_metrics",
        "ensemble_weights",
        "trained_models",
        "prediction_threshold",
        "served_model",
    }
)
_LISTS = frozenset({"feature_names", "classes"})
"""Fields that are one list of names for all models; in any other form they are kept as they are."""


def read_training_metadata(data: bytes, report: FileReport) -> RunMetadata:
    """Return the metadata in ``data``.

    Findings: a value that is not of its field's kind (``corrupt-metadata``; it is left out), metrics that cannot be
    (``implausible-metrics``), numbers that JSON does not know (``non-strict-json``). Raises `UnreadableArtifact` with
    the code ``corrupt-metadata`` for anything else than one JSON object.
    """
    try:
        document = read_object(data, report)
    except UnreadableArtifact as error:
        raise UnreadableArtifact(CORRUPT, error.detail, _REMEDY, error.line) from error
    extra: dict[str, Any] = {
        name: value
        for name, value in document.items()
        if name not in _NAMES and not (name in _LISTS and isinstance(value, list))
    }
    metrics, texts = _metrics(document, report)
    if texts:
        extra["performance_metrics"] = texts
    found = RunMetadata(
        timestamp=_timestamp(document.get("timestamp"), report),
        model_configs=_by_model(document, "model_configs", report),
        performance_metrics=metrics,
        ensemble_weights=_weights(document, report),
        trained_models=tuple(dict.fromkeys(_names_of(document, "trained_models", report))),
        prediction_threshold=_threshold(document.get("prediction_threshold"), report),
        feature_names=_each_once(document, "feature_names", report),
        classes=_each_once(document, "classes", report),
        served_model=_served_model(document.get("served_model"), report),
        extra=extra,
    )
    for doubt in found.implausible_metrics:
        report.warn(
            "implausible-metrics",
            f"{doubt.metric} of '{doubt.model}' is {doubt.value:.6g}: {doubt.reason}.",
            "Do not promote the run for its metrics; look at how they were computed.",
        )
    return found


def report_weights_without_file(metadata: RunMetadata, file_names: Collection[str], report: FileReport) -> None:
    """Report ``weights-without-file`` for each model that has a weight in the ensemble and none of these files."""
    missing = metadata.models_without_file(file_names)
    for model in missing:
        report.warn(
            "weights-without-file",
            f"'{model}' has the weight {metadata.ensemble_weights[model]:.3f} and no file.",
            "Copy its file into the run; until then the weights of the models present are scaled to sum to 1.",
        )


def _left_out(what: str, report: FileReport) -> None:
    report.warn(CORRUPT, f"{what}; it is left out.", _REMEDY)


def _timestamp(value: object, report: FileReport) -> str | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo is None else at.astimezone(UTC)).isoformat()
    except (ValueError, OverflowError):
        _left_out("'timestamp' is no time of ISO 8601", report)
        return None


def _by_model(document: Mapping[str, Any], name: str, report: FileReport) -> dict[str, dict[str, Any]]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        _left_out(f"'{name}' is a {type(value).__name__}, not an object", report)
        return {}
    for model, entry in value.items():
        if not isinstance(entry, dict):
            _left_out(f"'{name}' of '{model}' is a {type(entry).__name__}, not an object", report)
    return {model: entry for model, entry in value.items() if isinstance(entry, dict)}


def _metrics(
    document: Mapping[str, Any], report: FileReport
) -> tuple[dict[str, dict[str, float | None]], dict[str, dict[str, str]]]:
    """Return the numbers and, apart from them, texts such as ``last_updated``."""
    numbers: dict[str, dict[str, float | None]] = {}
    texts: dict[str, dict[str, str]] = {}
    for model, entry in _by_model(document, "performance_metrics", report).items():
        numbers[model] = {}
        for metric, value in entry.items():
            number = finite_or_none(value)
            if isinstance(value, str):
                texts.setdefault(model, {})[metric] = value
                continue
            if number is None and value is not None:
                _left_out(f"'{metric}' of '{model}' is no finite number", report)
            numbers[model][metric] = number
    return numbers, texts


def _weights(document: Mapping[str, Any], report: FileReport) -> dict[str, float]:
    value = document.get("ensemble_weights")
    if value is None:
        return {}
    if not isinstance(value, dict):
        _left_out(f"'ensemble_weights' is a {type(value).__name__}, not an object", report)
        return {}
    weights = {model: finite_or_none(weight) for model, weight in value.items()}
    for model, weight in weights.items():
        if weight is None or weight < 0:
            _left_out(f"The weight of '{model}' is no finite number from 0", report)
    return {model: weight for model, weight in weights.items() if weight is not None and weight >= 0}


def _names_of(document: Mapping[str, Any], name: str, report: FileReport) -> tuple[str, ...]:
    value = document.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
        _left_out(f"'{name}' is no list of names", report)
        return ()
    return tuple(value)


def _each_once(document: Mapping[str, Any], name: str, report: FileReport) -> tuple[str, ...]:
    names = _names_of(document, name, report) if isinstance(document.get(name), list) else ()
    if len(set(names)) != len(names):
        _left_out(f"'{name}' has a name twice", report)
        return ()
    return names


def _served_model(value: object, report: FileReport) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        _left_out("'served_model' is no name of a model", report)
        return None
    return value


def _threshold(value: object, report: FileReport) -> float | None:
    number = finite_or_none(value)
    if value is None or (number is not None and 0 <= number <= 1):
        return number
    _left_out(f"'prediction_threshold' is {str(value)[:40]}, no probability from 0 to 1", report)
    return None
