"""``metadata.json`` of a version, by canonical names: real files write most of them in several ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from mm_core.artifacts.readers.evaluation_json import report_impossible
from mm_core.artifacts.readers.lenient_json import finite_or_none, read_object, whole_or_none
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.findings import Severity
from mm_core.domain.versions import VersionMetadata

Convert = Callable[[Any], Any]

MOST_DIGITS = 6
"""Of a class's number: LightGBM has thousands of classes at most."""

WITHOUT_CLASSES = frozenset(
    [
        "regression",
        "regression_l1",
        "regression_l2",
        "l1",
        "l2",
        "mae",
        "mse",
        "rmse",
        "huber",
        "fair",
        "poisson",
        "quantile",
        "mape",
        "gamma",
        "tweedie",
        "lambdarank",
        "rank_xendcg",
    ]
)
"""Objectives of LightGBM that have neither classes nor an accuracy."""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _texts(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, dict):  # {"0": "DOWN", "1": "UP"}
        if not value or not all(key.isascii() and key.isdigit() and len(key) <= MOST_DIGITS for key in value):
            return None
        value = [value[key] for key in sorted(value, key=int)]
    if not isinstance(value, list) or not value or not all(isinstance(entry, str | int) for entry in value):
        return None
    return tuple(map(str, value))


def _importance(value: Any) -> dict[str, float] | None:
    if isinstance(value, list):
        value = {
            entry["feature"]: entry.get("importance")
            for entry in value
            if isinstance(entry, dict) and isinstance(entry.get("feature"), str)
        }
    if not isinstance(value, dict):
        return None
    numbers = {name: finite_or_none(number) for name, number in value.items()}
    return {name: number for name, number in numbers.items() if number is not None} or None


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and value else None


@dataclass(frozen=True, slots=True)
class _Field:
    """A canonical field: where the guide has it, where other files do, and whether the guide demands it.

    ``of_classes`` tells that only models have it that tell classes apart.
    """

    name: str
    place: str
    aliases: tuple[str, ...]
    convert: Convert
    required: bool = True
    of_classes: bool = False


FIELDS: tuple[_Field, ...] = (
    _Field("model_version", "model_version", ("version",), _text),
    _Field("model_type", "model_type", (), _text),
    _Field("algorithm", "algorithm", (), _text),
    _Field("objective", "objective", ("hyperparameters.objective",), _text),
    _Field("num_classes", "num_classes", (), whole_or_none, of_classes=True),
    _Field("classes", "classes", ("class_labels", "label_mapping"), _texts, of_classes=True),
    _Field("training_date", "training_date", ("trained_at", "trainedAt"), _text),
    _Field("training_examples", "training_examples", ("num_train_examples",), whole_or_none),
    _Field("validation_examples", "validation_examples", ("num_val_examples",), whole_or_none),
    _Field("num_features", "num_features", (), whole_or_none),
    _Field(
        "validation_accuracy",
        "performance.validation_accuracy",
        ("metrics.accuracy", "validation_metrics.accuracy", "validationMetrics.accuracy", "val_metrics.accuracy"),
        finite_or_none,
        of_classes=True,
    ),
    _Field("best_iteration", "performance.best_iteration", ("best_iteration",), whole_or_none),
    _Field("total_iterations", "performance.total_iterations", ("total_iterations",), whole_or_none),
    _Field("feature_names", "feature_names", ("featureNames", "features", "feature_cols"), _texts, required=False),
    _Field(
        "feature_importance",
        "feature_importance",
        ("metrics.feature_importance", "featureImportance", "top_features"),
        _importance,
        required=False,
    ),
    _Field("hyperparameters", "hyperparameters", (), _object, required=False),
)
_REMEDY = "Write the fields under the names of the guide."


def read_version_metadata(data: bytes, report: FileReport) -> VersionMetadata:
    """Return the metadata in ``data``; a field that is missing or has another name is a finding.

    The number of classes and of features follow from the lists where they are not given. Raises `UnreadableArtifact`
    for anything else than one JSON object.
    """
    document = read_object(data, report)
    values: dict[str, Any] = {}
    taken = set()
    missing = []
    for field in FIELDS:
        for place in (field.place, *field.aliases):
            value = field.convert(_at(document, place))
            if value is not None:
                values[field.name] = value
                taken.add(place)
                if place != field.place and field.required:
                    report.warn("metadata-alias", f"'{field.place}' is written as '{place}'.", _REMEDY)
                break
        else:
            missing.append(field)
    _check_classes(document, report)
    _check_features(document, report)
    values.setdefault("num_classes", len(values.get("classes", ())) or None)
    values.setdefault("num_features", len(values.get("feature_names", ())) or None)
    has_classes = values.get("objective", "").split(" ")[0] not in WITHOUT_CLASSES
    for field in missing:
        if field.required and values.get(field.name) is None and (has_classes or not field.of_classes):
            report.add(
                Severity.ERROR,
                "metadata-field-missing",
                f"'{field.place}' is missing, or is no value of its kind.",
                _REMEDY,
            )
    report_impossible({"accuracy": values.get("validation_accuracy")}, report)
    extra = {name: value for name, value in document.items() if not _is_taken(name, value, taken)}
    return VersionMetadata(**values, extra=extra)


def _check_classes(document: Mapping[str, Any], report: FileReport) -> None:
    """Report lists of classes that give a label two names, or two labels one: what is bought or sold hangs on it."""
    for place, names in _lists_of("classes", document).items():
        if len(set(names)) != len(names):
            report.add(
                Severity.ERROR,
                "classes-mismatch",
                f"'{place}' names a class twice: {', '.join(repr(name[:50]) for name in names[:10])}.",
                "Give each class a name of its own, in the order of the labels.",
            )
    named = {
        place: names
        for place, names in _lists_of("classes", document).items()
        if names != tuple(map(str, range(len(names))))
    }
    if len(set(named.values())) > 1:
        _report_lists("classes-mismatch", "classes", named, "labels", report)


def _check_features(document: Mapping[str, Any], report: FileReport) -> None:
    """Report features in two orders: which one counts decides which column is which."""
    lists = _lists_of("feature_names", document)
    if any(names != other and len(names) == len(other) for names, other in combinations(lists.values(), 2)):
        _report_lists("features-mismatch", "features", lists, "columns", report)


def _lists_of(name: str, document: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    field = next(field for field in FIELDS if field.name == name)
    lists = {place: _texts(_at(document, place)) for place in (field.place, *field.aliases)}
    return {place: names for place, names in lists.items() if names}


def _report_lists(code: str, what: str, lists: Mapping[str, tuple[str, ...]], of_what: str, report: FileReport) -> None:
    told = ", ".join(f"'{place}' has {' '.join(names)[:60]}" for place, names in lists.items())
    report.add(
        Severity.ERROR,
        code,
        f"The file names its {what} in several ways: {told}.",
        f"Write them once, in the order of the {of_what} that the model was trained on.",
    )


def _is_taken(name: str, value: Any, taken: Set[str]) -> bool:
    """Return whether fields took a value, or every member of it."""
    if name in taken:
        return True
    return isinstance(value, dict) and bool(value) and all(f"{name}.{member}" in taken for member in value)


def _at(document: Mapping[str, Any], place: str) -> Any:
    value: Any = document
    for step in place.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
