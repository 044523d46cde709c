"""Classes, probabilities, confidence and signal, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from mm_core.domain.predictions import Prediction, PredictionKind, Signal
from mm_core.errors import ModelUnusable
from mm_core.prediction import ModelFormat
from mm_core.prediction.outcomes import class_names, predictions, reading_of

LIGHTGBM, XGBOOST = ModelFormat.LIGHTGBM_TEXT, ModelFormat.XGBOOST_JSON
DIRECTIONS = ("DOWN", "NEUTRAL", "UP")


def test_two_classes_have_the_confidence_and_strength_of_the_distance_from_the_threshold() -> None:
    reading = reading_of(LIGHTGBM, "binary sigmoid:1", 1)
    (found,) = predictions(reading, [[0.8]], ("DOWN", "UP"), 0.5)
    assert found.class_name == "UP"
    assert found.probabilities == pytest.approx({"DOWN": 0.2, "UP": 0.8})
    assert (found.confidence, found.strength) == pytest.approx((0.6, 0.6))
    assert found.signal is Signal.BULLISH
    (found,) = predictions(reading, [[0.35]], ("DOWN", "UP"), 0.6)
    assert (found.class_name, found.signal) == ("DOWN", Signal.BEARISH)
    assert (found.confidence, found.strength) == pytest.approx((0.5, -0.5))


def test_confidence_is_never_above_one_and_strength_says_what_the_formula_says() -> None:
    reading = reading_of(LIGHTGBM, "binary", 1)
    (found,) = predictions(reading, [[0.9]], ("0", "1"), 0.1)
    assert (found.confidence, found.strength) == pytest.approx((1.0, 1.6))


def test_a_probability_at_the_threshold_is_of_the_first_class() -> None:
    reading = reading_of(XGBOOST, "binary:logistic", 1)
    (found,) = predictions(reading, [[0.5]], ("no", "yes"), 0.5)
    assert (found.class_name, found.confidence, found.strength, found.signal) == ("no", 0.0, 0.0, None)


def test_several_classes_have_the_confidence_of_the_largest_probability() -> None:
    reading = reading_of(LIGHTGBM, "multiclass num_class:3", 3)
    first, second = predictions(reading, [[0.2, 0.3, 0.5], [0.4, 0.4, 0.2]], DIRECTIONS, 0.9)
    assert first == Prediction(
        class_name="UP",
        probabilities={"DOWN": 0.2, "NEUTRAL": 0.3, "UP": 0.5},
        confidence=0.5,
        signal=Signal.BULLISH,
    )
    assert (second.class_name, second.signal) == ("DOWN", Signal.BEARISH)  # the first of equals


def test_one_against_all_is_not_made_to_add_up() -> None:
    reading = reading_of(LIGHTGBM, "multiclassova num_class:3 sigmoid:1", 3)
    (found,) = predictions(reading, [[0.9, 0.8, 0.1]], ("a", "b", "c"), 0.5)
    assert found.probabilities == {"a": 0.9, "b": 0.8, "c": 0.1}
    assert found.confidence == 0.9


def test_lambda_and_scores_become_probabilities() -> None:
    of_lambda = reading_of(LIGHTGBM, "cross_entropy_lambda", 1)
    (found,) = predictions(of_lambda, [[math.log(2)]], ("0", "1"), 0.5)
    assert found.probabilities == pytest.approx({"0": 0.5, "1": 0.5})
    raw = reading_of(XGBOOST, "binary:logitraw", 1)
    for score, share in ((0.0, 0.5), (math.log(3), 0.75), (-math.log(3), 0.25), (800.0, 1.0), (-800.0, 0.0)):
        (found,) = predictions(raw, [[score]], ("0", "1"), 0.5)
        assert found.probabilities is not None
        assert found.probabilities["1"] == pytest.approx(share)


def test_hinge_has_a_class_and_no_probability() -> None:
    reading = reading_of(XGBOOST, "binary:hinge", 1)
    up, down = predictions(reading, [[1.0], [0.0]], ("DOWN", "UP"), 0.5)
    assert up == Prediction(class_name="UP", signal=Signal.BULLISH)
    assert down == Prediction(class_name="DOWN", signal=Signal.BEARISH)


def test_margins_of_softmax_become_probabilities_without_overflow() -> None:
    reading = reading_of(XGBOOST, "multi:softmax", 3)
    assert reading.from_margins
    (found,) = predictions(reading, [[1000.0, 1000.0 + math.log(2), -1000.0]], ("a", "b", "c"), 0.5)
    assert found.probabilities == pytest.approx({"a": 1 / 3, "b": 2 / 3, "c": 0.0})
    assert found.class_name == "b"


@pytest.mark.parametrize(
    ("model_format", "objective", "kind"),
    [
        (LIGHTGBM, "regression sqrt", PredictionKind.REGRESSION),
        (LIGHTGBM, "tweedie tweedie_variance_power:1.5", PredictionKind.REGRESSION),
        (LIGHTGBM, "lambdarank", PredictionKind.RANKING),
        (LIGHTGBM, "", PredictionKind.RAW),
        (XGBOOST, "rank:ndcg", PredictionKind.RANKING),
        (XGBOOST, "survival:aft", PredictionKind.REGRESSION),
    ],
)
def test_other_boosters_have_a_value(model_format: ModelFormat, objective: str, kind: PredictionKind) -> None:
    reading = reading_of(model_format, objective, 1)
    assert reading.kind is kind
    assert predictions(reading, [[1.25], [math.inf]], (), 0.5) == (Prediction(value=1.25), Prediction())


def test_several_outputs_without_classes_are_values() -> None:
    quantiles = reading_of(XGBOOST, "reg:quantileerror", 2)
    assert predictions(quantiles, [[-1.0, math.nan]], (), 0.5) == (Prediction(values=(-1.0, None)),)
    targets = reading_of(XGBOOST, "binary:logistic", 2)
    assert predictions(targets, [[0.25, 0.75]], (), 0.5) == (Prediction(values=(0.25, 0.75)),)


def test_a_row_with_an_output_that_is_not_finite_has_no_class() -> None:
    binary = reading_of(LIGHTGBM, "binary", 1)
    several = reading_of(LIGHTGBM, "multiclass num_class:3", 3)
    assert predictions(binary, [[math.nan]], ("0", "1"), 0.5) == (Prediction(),)
    assert predictions(several, [[0.5, math.nan, 0.5]], DIRECTIONS, 0.5) == (Prediction(),)


@pytest.mark.parametrize(
    ("classes", "signals"),
    [
        (("sell", "hold", "buy"), [Signal.BEARISH, Signal.NEUTRAL, Signal.BULLISH]),
        (("Bearish", "Flat", " Long "), [Signal.BEARISH, Signal.NEUTRAL, Signal.BULLISH]),
        (("DOWN", "SIDEWAYS", "UP"), [None, None, None]),
        (("0", "1", "2"), [None, None, None]),
        (("HOLD", "FLAT", "NEUTRAL"), [None, None, None]),
    ],
)
def test_a_signal_is_there_only_where_every_class_is_a_direction(
    classes: tuple[str, ...], signals: list[Signal | None]
) -> None:
    reading = reading_of(LIGHTGBM, "multiclass num_class:3", 3)
    rows = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    assert [found.signal for found in predictions(reading, rows, classes, 0.5)] == signals


def test_classes_without_names_are_called_by_their_labels() -> None:
    assert class_names(reading_of(LIGHTGBM, "multiclass num_class:3", 3), (), 3) == ("0", "1", "2")
    assert class_names(reading_of(LIGHTGBM, "binary", 1), (), 1) == ("0", "1")
    assert class_names(reading_of(LIGHTGBM, "regression", 1), ("DOWN", "UP"), 1) == ()


@pytest.mark.parametrize("classes", [("DOWN", "UP"), ("DOWN", "FLAT", "UP", "MOON"), ("UP", "UP", "DOWN")])
def test_other_classes_than_the_booster_has_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(ModelUnusable, match=r"'UP'.* tells 3 apart"):
        class_names(reading_of(LIGHTGBM, "multiclass num_class:3", 3), classes, 3)


@pytest.mark.parametrize(
    ("model_format", "objective"),
    [(LIGHTGBM, "focal_loss"), (XGBOOST, "custom:mine"), (XGBOOST, "multi:new"), (XGBOOST, "")],
)
def test_what_the_outputs_of_an_unknown_objective_mean_is_not_guessed(
    model_format: ModelFormat, objective: str
) -> None:
    with pytest.raises(ModelUnusable, match="no rule"):
        reading_of(model_format, objective, 1)
