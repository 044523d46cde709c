"""What the outputs of a booster mean: classes, probabilities, confidence and signal by its objective.

Two libraries, one reading. ``p`` is the probability of the second of two classes.

| LightGBM | XGBoost | output of ``predict`` | read as |
|---|---|---|---|
| ``binary``, ``cross_entropy`` | ``binary:logistic``, ``reg:logistic`` | p | two classes |
| ``cross_entropy_lambda`` | | λ = log(1 + exp(score)), and p = 1 - exp(-λ) | two classes |
| | ``binary:logitraw`` | score, and p = 1 / (1 + exp(-score)) | two classes |
| | ``binary:hinge`` | 0 or 1 | two classes without probabilities |
| ``multiclass`` | ``multi:softprob`` | softmax of the scores: adds up to 1 | a probability a class |
| | ``multi:softmax`` | the class alone; its margins are asked for, and their softmax is taken | a probability a class |
| ``multiclassova`` | | one sigmoid a class: does not add up to 1, and is not made to | a probability a class |
| ``lambdarank``, ``rank_xendcg`` | ``rank:…`` | score: only the order of rows means something | ranking |
| ``regression`` and its kin | ``reg:…``, ``count:…``, ``survival:…`` | in units of the label | regression |
| none: a function of the trainer's | | scores as the trees add up | raw |

Sources: LightGBM 4.7, "Parameters", ``objective``, and ``ConvertOutput`` of its objectives (``xentropy_objective.hpp``
for λ); XGBoost 3.2, "XGBoost Parameters", "Learning Task Parameters".

Two classes: the second is predicted where p > threshold; strength = (p - threshold) * 2, confidence =
min(1, |p - threshold| * 2), as the ensembles of timestamped runs have it. Several classes: the one of the largest
probability, the first of equals, and that probability is the confidence, as the registration guide's votes have it.
Signal: BULLISH, BEARISH or NEUTRAL by the name of the predicted class, only where each class has such a name and they
are not all neutral.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mm_core.domain.predictions import ModelFormat, Prediction, PredictionKind, Signal
from mm_core.errors import ModelUnusable


def _plain(output: float) -> float:
    return output


def _of_lambda(output: float) -> float:
    return -math.expm1(-output)


def _of_score(output: float) -> float:
    return 1 / (1 + math.exp(-output)) if output >= 0 else math.exp(output) / (1 + math.exp(output))


@dataclass(frozen=True, slots=True)
class Reading:
    """How one objective's outputs are read.

    ``probability`` makes p of the only output of a classifier of two classes, None where that is the class itself.
    ``from_margins`` tells that the booster must be asked for margins.
    """

    kind: PredictionKind
    probability: Callable[[float], float] | None = None
    from_margins: bool = False


_BINARY = Reading(PredictionKind.BINARY, _plain)
_MULTICLASS = Reading(PredictionKind.MULTICLASS)
_REGRESSION = Reading(PredictionKind.REGRESSION)
_RANKING = Reading(PredictionKind.RANKING)
_RAW = Reading(PredictionKind.RAW)

_LIGHTGBM = {
    "": _RAW,
    "custom": _RAW,
    "none": _RAW,
    "binary": _BINARY,
    "cross_entropy": _BINARY,
    "cross_entropy_lambda": Reading(PredictionKind.BINARY, _of_lambda),
    "multiclass": _MULTICLASS,
    "multiclassova": _MULTICLASS,
    "lambdarank": _RANKING,
    "rank_xendcg": _RANKING,
    "regression": _REGRESSION,
    "regression_l1": _REGRESSION,
    "huber": _REGRESSION,
    "fair": _REGRESSION,
    "poisson": _REGRESSION,
    "quantile": _REGRESSION,
    "mape": _REGRESSION,
    "gamma": _REGRESSION,
    "tweedie": _REGRESSION,
}
_XGBOOST = {
    "binary:logistic": _BINARY,
    "reg:logistic": _BINARY,
    "binary:logitraw": Reading(PredictionKind.BINARY, _of_score),
    "binary:hinge": Reading(PredictionKind.BINARY),
    "multi:softprob": _MULTICLASS,
    "multi:softmax": Reading(PredictionKind.MULTICLASS, from_margins=True),
}
_XGBOOST_FAMILIES = {"rank": _RANKING, "reg": _REGRESSION, "count": _REGRESSION, "survival": _REGRESSION}

_DIRECTIONS = {
    **dict.fromkeys(("UP", "BUY", "LONG", "BULL", "BULLISH"), Signal.BULLISH),
    **dict.fromkeys(("DOWN", "SELL", "SHORT", "BEAR", "BEARISH"), Signal.BEARISH),
    **dict.fromkeys(("NEUTRAL", "HOLD", "FLAT"), Signal.NEUTRAL),
}


def reading_of(model_format: ModelFormat, objective: str, outputs: int) -> Reading:
    """Return how a booster's outputs are read; ``outputs`` is how many numbers it gives a row.

    ``objective`` may be followed by parameters. Raises `ModelUnusable` for an objective without a rule: what its
    numbers mean is not guessed.
    """
    name = objective.partition(" ")[0]
    if model_format is ModelFormat.LIGHTGBM_TEXT:
        found = _LIGHTGBM.get(name)
    else:
        found = _XGBOOST.get(name) or _XGBOOST_FAMILIES.get(name.partition(":")[0])
    if found is None:
        raise ModelUnusable(
            f"The booster's objective '{name[:60]}' has no rule for what its outputs mean. Train with one that has: "
            "docs/prediction.md lists them."
        )
    if found.kind is PredictionKind.BINARY and outputs != 1:
        return _REGRESSION  # several targets at once: classes that do not exclude each other are numbers here
    return found


def class_names(reading: Reading, classes: Sequence[str], outputs: int) -> tuple[str, ...]:
    """Return the names of a classifier's classes in the order of its labels, ``0``, ``1``, … where none are given.

    Empty for boosters of other kinds. Raises `ModelUnusable` where names stand twice or their number is another one.
    """
    if reading.kind not in {PredictionKind.BINARY, PredictionKind.MULTICLASS}:
        return ()
    needed = 2 if reading.kind is PredictionKind.BINARY else outputs
    names = tuple(classes) or tuple(map(str, range(needed)))
    if len(names) != needed or len(set(names)) != needed:
        raise ModelUnusable(
            f"The metadata names the classes {', '.join(repr(name[:40]) for name in names[:20])}; the booster tells "
            f"{needed} apart. Write one name for each of its labels, in their order."
        )
    return names


def predictions(
    reading: Reading, rows: Sequence[Sequence[float]], classes: Sequence[str], threshold: float
) -> tuple[Prediction, ...]:
    """Return one prediction for each row of outputs; one with an output that is not finite has no class."""
    signals = _signals(classes)
    if reading.kind is PredictionKind.BINARY:
        return tuple(_of_two(reading, row[0], classes, threshold, signals) for row in rows)
    if reading.kind is PredictionKind.MULTICLASS:
        return tuple(_of_several(reading, row, classes, signals) for row in rows)
    return tuple(_numbers(row) for row in rows)


def _of_two(
    reading: Reading, output: float, classes: Sequence[str], threshold: float, signals: dict[str, Signal]
) -> Prediction:
    if not math.isfinite(output):
        return Prediction()
    if reading.probability is None:
        name = classes[output > 0]
        return Prediction(class_name=name, signal=signals.get(name))
    share = reading.probability(output)
    name = classes[share > threshold]
    return Prediction(
        class_name=name,
        probabilities={classes[0]: 1 - share, classes[1]: share},
        confidence=min(1.0, abs(share - threshold) * 2),
        strength=(share - threshold) * 2,
        signal=signals.get(name),
    )


def _of_several(
    reading: Reading, outputs: Sequence[float], classes: Sequence[str], signals: dict[str, Signal]
) -> Prediction:
    if not all(map(math.isfinite, outputs)):
        return Prediction()
    shares = _softmax(outputs) if reading.from_margins else outputs
    confidence = max(shares)
    name = classes[list(shares).index(confidence)]
    return Prediction(
        class_name=name,
        probabilities=dict(zip(classes, shares, strict=True)),
        confidence=confidence,
        signal=signals.get(name),
    )


def _numbers(outputs: Sequence[float]) -> Prediction:
    finite = tuple(output if math.isfinite(output) else None for output in outputs)
    return Prediction(value=finite[0]) if len(finite) == 1 else Prediction(values=finite)


def _softmax(margins: Sequence[float]) -> list[float]:
    largest = max(margins)
    powers = [math.exp(margin - largest) for margin in margins]
    total = math.fsum(powers)
    return [power / total for power in powers]


def _signals(classes: Sequence[str]) -> dict[str, Signal]:
    found = {name: _DIRECTIONS[name.strip().upper()] for name in classes if name.strip().upper() in _DIRECTIONS}
    return found if len(found) == len(classes) and set(found.values()) != {Signal.NEUTRAL} else {}
