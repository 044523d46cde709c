"""Training runs: what a directory such as ``models/20250724_150837`` is called, and what its metadata says."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

TRAINING_METADATA = "training_metadata.json"
"""The file that a training writes last into its directory."""

SCALERS = "scalers.pkl"
"""The file with what normalized the features of a run's models."""

LATEST = "latest"
"""The name of the link to the newest run, and the word for it in commands."""

POINTER = f"{LATEST}.txt"
"""The file that names the newest run where there are no links."""

PICKLE, XGBOOST_JSON = "pickle", "xgb-json"
"""The formats in which a model of XGBoost may be."""

MODEL_FORMATS: dict[str, str] = {
    "h5": "keras-h5",
    "keras": "keras",
    "pkl": PICKLE,
    "joblib": "joblib",
    "pt": "torch-pt",
    "pth": "torch-pt",
    "onnx": "onnx",
    "json": XGBOOST_JSON,
    "txt": "lgb-txt",
}
"""What the ending of ``{name}_model.{ending}`` stands for."""

MOST_DRAWDOWN = 1.0
MOST_SHARPE = 5.0

_NAME = re.compile(r"(\d{8}_\d{6})(?:_([2-9]|[1-9]\d{1,5}))?\Z", re.ASCII)
_MODEL_FILE = re.compile(rf"(.+)_model\.({'|'.join(MODEL_FORMATS)})\Z", re.DOTALL)
_SHARES = ("accuracy", "precision", "recall", "win_rate", "validation_score")


@dataclass(frozen=True, slots=True, order=True)
class RunId:
    """``20250724_150837``: when a run was published, in UTC; ``20250724_150837_2`` is the second of that second.

    Identities order by time: of the digits alone, 15 in number, not all are one.
    """

    at: datetime
    number: int = 1

    @classmethod
    def parse(cls, text: str) -> RunId | None:
        """Return the run that a directory's name stands for, None for a name that is no time."""
        match = _NAME.match(text)
        if match is None:
            return None
        try:
            at = datetime.strptime(match[1], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(at, int(match[2] or 1))

    def __str__(self) -> str:
        name = f"{self.at.year:04}{self.at:%m%d_%H%M%S}"
        return name if self.number == 1 else f"{name}_{self.number}"

    @property
    def created_at(self) -> str:
        """The time as ISO 8601 in UTC."""
        return self.at.isoformat()


@dataclass(frozen=True, slots=True)
class ImplausibleMetric:
    """A metric of one model of a run that cannot be, or that a model without any skill has too."""

    model: str
    metric: str
    value: float
    reason: str


@dataclass(frozen=True, slots=True)
class RunMetadata:
    """``training_metadata.json`` of a run; None or empty where the file has no such value.

    ``timestamp`` is the end of the training as ISO 8601: in UTC, or without an offset where the file has none, for
    nobody knows on which clock that was. ``performance_metrics`` are by model, then by metric, None for a value that
    is no finite number; ``ensemble_weights`` by model, finite and not negative, as written. ``prediction_threshold``
    is a probability. ``feature_names`` are those of the models' columns in their order, ``classes`` in that of the
    labels, ``served_model`` the model that bots are to be given where several could be. ``extra`` is what has no name
    here, texts among the metrics included.
    """

    timestamp: str | None = None
    model_configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    performance_metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    ensemble_weights: Mapping[str, float] = field(default_factory=dict)
    trained_models: tuple[str, ...] = ()
    prediction_threshold: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    feature_names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    served_model: str | None = None

    @property
    def best_sharpe(self) -> float | None:
        """The largest Sharpe ratio of any model, None where no model has one. To look at, never to promote by."""
        ratios = [metrics.get("sharpe_ratio") for metrics in self.performance_metrics.values()]
        return max((ratio for ratio in ratios if ratio is not None), default=None)

    @property
    def implausible_metrics(self) -> tuple[ImplausibleMetric, ...]:
        """Every metric that breaks a rule, by model in the order of the file."""
        return tuple(
            ImplausibleMetric(model, metric, value, reason)
            for model, metrics in self.performance_metrics.items()
            for rule in _RULES
            for metric, value, reason in rule(metrics)
        )

    def models_without_file(self, file_names: Collection[str]) -> tuple[str, ...]:
        """Return the models that have an ensemble weight and none of the files ``file_names``."""
        present = models_of(file_names)
        return tuple(model for model in self.ensemble_weights if model not in present)

    def shares_of(self, file_names: Collection[str]) -> dict[str, float]:
        """Return the ensemble weights of the models that have one of these files, so that their sum is 1.

        Empty where these weights sum to nothing.
        """
        present = models_of(file_names)
        weights = {model: weight for model, weight in self.ensemble_weights.items() if model in present}
        largest = max(weights.values(), default=0.0)
        if largest <= 0:
            return {}
        scaled = {model: weight / largest for model, weight in weights.items()}  # sums of large weights overflow
        total = sum(scaled.values())
        return {model: weight / total for model, weight in scaled.items()}


def model_of(file_name: str) -> tuple[str, str] | None:
    """Return model and format of a file such as ``lstm_model.h5``, None for a file that is no model of a run."""
    match = _MODEL_FILE.match(file_name)
    return (match[1], MODEL_FORMATS[match[2]]) if match is not None else None


def models_of(file_names: Collection[str]) -> frozenset[str]:
    """Return the models that have a file among these."""
    return frozenset(found[0] for found in map(model_of, file_names) if found is not None)


Metrics = Mapping[str, float | None]
Broken = Iterator[tuple[str, float, str]]


def _drawdown(metrics: Metrics) -> Broken:
    value = metrics.get("max_drawdown")
    if value is not None and abs(value) > MOST_DRAWDOWN:
        yield "max_drawdown", value, "no account loses more than all of it"


def _sharpe(metrics: Metrics) -> Broken:
    value = metrics.get("sharpe_ratio")
    if value is not None and abs(value) > MOST_SHARPE:
        yield "sharpe_ratio", value, f"beyond {MOST_SHARPE:g} it comes of how it was computed, not of the model"


def _shares(metrics: Metrics) -> Broken:
    for name in _SHARES:
        value = metrics.get(name)
        if value is not None and not 0 <= value <= 1:
            yield name, value, "a share lies between 0 and 1"


def _constant(metrics: Metrics) -> Broken:
    # With every positive found, accuracy equals precision only if no negative is found either, or if nothing is wrong.
    accuracy, precision, recall = (metrics.get(name) for name in ("accuracy", "precision", "recall"))
    if accuracy is None or precision is None or recall != 1:
        return
    if accuracy < 1 and abs(accuracy - precision) < 1e-9:
        yield "accuracy", accuracy, "it is the share of positives, and recall is 1: the model always says yes"


def _perfect(metrics: Metrics) -> Broken:
    if metrics.get("accuracy") == 1:
        yield "accuracy", 1.0, "a model that is never wrong has seen the answers"


_IMPOSSIBLE: tuple[Callable[[Metrics], Broken], ...] = (_drawdown, _sharpe, _shares)
_RULES = (*_IMPOSSIBLE, _constant, _perfect)


def impossible_metrics(metrics: Metrics) -> Broken:
    """Yield each metric that no honest evaluation has, with its value and the reason."""
    for rule in _IMPOSSIBLE:
        yield from rule(metrics)
