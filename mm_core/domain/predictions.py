"""What a model says about rows: predictions, and what was noticed on the way to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ModelFormat(StrEnum):
    """The forms of models that bots are given and that can be predicted with; the value is the name in answers."""

    LIGHTGBM_TEXT = "lightgbm-text"
    XGBOOST_JSON = "xgboost-json"


class PredictionKind(StrEnum):
    """What a booster's outputs mean."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    RANKING = "ranking"
    RAW = "raw"


class Signal(StrEnum):
    """Where a predicted class points, for classes that are named after directions."""

    BULLISH = "BULLISH"
    BEARISH = "BEARISH"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one row; what its kind does not have is None.

    ``class_name``, ``probabilities`` by class and ``confidence`` in [0, 1] are a classifier's; ``strength`` is
    (p - threshold) * 2 of the second of two classes, ``signal`` the direction that the class's name says. ``value`` is
    the only output of any other booster, ``values`` its outputs where they are several, such as quantiles. A number
    that is not finite is None.
    """

    class_name: str | None = None
    probabilities: Mapping[str, float] | None = None
    confidence: float | None = None
    strength: float | None = None
    signal: Signal | None = None
    value: float | None = None
    values: tuple[float | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class PredictionAnswer:
    """Predictions in the order of the rows, and how they came about.

    ``objective`` is the booster's, with its parameters, empty where it has none. ``threshold`` is the probability above
    which the second of two classes is predicted, None for other kinds. ``extra_features`` were in rows and are none of
    the model's; ``warnings`` are sentences.
    """

    kind: PredictionKind
    objective: str
    classes: tuple[str, ...]
    threshold: float | None
    predictions: tuple[Prediction, ...]
    extra_features: tuple[str, ...]
    warnings: tuple[str, ...]
