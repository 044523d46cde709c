"""The child's predictions against those that LightGBM and XGBoost make in the test's own process."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from mm_core.artifacts.readers.normalizer_json import read_normalizer
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.predictions import Prediction, PredictionAnswer, PredictionKind, Signal
from mm_core.domain.versions import Normalizer
from mm_core.errors import BodyTooLarge, InvalidRows, ModelUnusable
from mm_core.prediction import Predictor
from tests.prediction.conftest import MakePredictor
from tests.prediction.training import (
    FEATURES,
    LIGHTGBM_LABELS,
    NAMES,
    SCORE,
    XGBOOST_LABELS,
    Files,
    lightgbm_booster,
    rows_of,
    xgboost_booster,
)

PROJECT = Path(__file__).parent.parent.parent
MATRIX: NDArray[np.float64] = np.random.default_rng(8).normal(scale=2, size=(40, len(NAMES)))
MATRIX[::7, 1] = np.nan
MATRIX[3] = np.nan
ROWS = rows_of(MATRIX)


def _numbers(answer: PredictionAnswer) -> NDArray[np.float64]:
    """Return what the predictions say as numbers: (rows,) of p, class or value, (rows, n) of several outputs."""
    found: list[Any] = []
    for one in answer.predictions:
        if answer.kind is PredictionKind.BINARY:
            shares = one.probabilities
            found.append(answer.classes.index(str(one.class_name)) if shares is None else shares[answer.classes[1]])
        elif answer.kind is PredictionKind.MULTICLASS:
            assert one.probabilities is not None
            found.append([one.probabilities[name] for name in answer.classes])
        else:
            found.append(one.value if one.values is None else one.values)
    return np.asarray(found, dtype=np.float64)


def _sigmoid(scores: Any) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.asarray(scores, dtype=np.float64))))


@pytest.mark.parametrize("objective", sorted(LIGHTGBM_LABELS))
def test_every_objective_of_lightgbm_predicts_as_lightgbm_does(
    predictor: Predictor, files: Files, objective: str
) -> None:
    booster = lightgbm_booster(objective)
    answer = predictor.predict(files.lightgbm(booster), ROWS)
    expected = booster.predict(MATRIX)
    if objective == "cross_entropy_lambda":
        expected = _sigmoid(booster.predict(MATRIX, raw_score=True))
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(_numbers(answer), expected, rtol=0, atol=1e-12)
    assert (answer.objective.split()[0], answer.warnings, answer.extra_features) == (objective, (), ())


@pytest.mark.parametrize("objective", sorted(XGBOOST_LABELS))
def test_every_objective_of_xgboost_predicts_as_xgboost_does(
    predictor: Predictor, files: Files, objective: str
) -> None:
    booster = xgboost_booster(objective)
    answer = predictor.predict(files.xgboost(booster), ROWS)
    matrix = xgboost.DMatrix(MATRIX, feature_names=NAMES)
    if objective == "multi:softmax":
        labels = [answer.classes.index(str(one.class_name)) for one in answer.predictions]
        assert labels == booster.predict(matrix).astype(int).tolist()
        booster = xgboost_booster("multi:softprob")  # the same trees, and an output of probabilities
    expected = booster.predict(matrix)
    if objective == "binary:logitraw":
        expected = _sigmoid(expected)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(_numbers(answer), expected, rtol=1e-6, atol=1e-6)
    assert answer.objective == objective


@pytest.mark.parametrize(
    "parameters",
    [
        {"boosting": "dart"},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
        {"linear_tree": True},
        {"categories": [3], "min_data_per_group": 1, "max_cat_to_onehot": 1, "min_data_in_leaf": 2},
        {"reg_sqrt": True},
        {"num_leaves": 40, "min_data_in_leaf": 1},
        {"min_gain_to_split": 1e9},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_every_kind_of_lightgbm_s_trees_predicts_as_lightgbm_does(
    predictor: Predictor, files: Files, parameters: dict[str, Any]
) -> None:
    features = FEATURES.copy()
    features[:, 3] = np.arange(len(features)) % 40
    label = SCORE + (features[:, 3] % 3 == 0)
    settings = {"objective": "regression", "verbose": -1, "num_threads": 1, "num_leaves": 7, **parameters}
    categories = settings.pop("categories", "auto")
    data = lightgbm.Dataset(features, label, feature_name=list(NAMES), categorical_feature=categories)
    booster = lightgbm.train(settings, data, 6)
    matrix = MATRIX.copy()
    matrix[:, 3] = np.arange(len(matrix)) % 50 - 2
    answer = predictor.predict(files.lightgbm(booster), rows_of(matrix))
    np.testing.assert_allclose(_numbers(answer), booster.predict(matrix), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "parameters",
    [
        {"booster": "dart", "rate_drop": 0.5},
        {"booster": "gblinear"},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"grow_policy": "lossguide", "max_leaves": 9},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_every_kind_of_xgboost_s_boosters_predicts_as_xgboost_does(
    predictor: Predictor, files: Files, parameters: dict[str, Any]
) -> None:
    booster = xgboost_booster("reg:squarederror", **parameters)
    matrix = np.nan_to_num(MATRIX)
    answer = predictor.predict(files.xgboost(booster), rows_of(matrix))
    expected = booster.predict(xgboost.DMatrix(matrix, feature_names=NAMES))
    np.testing.assert_allclose(_numbers(answer), expected, rtol=1e-6, atol=1e-6)


def test_a_booster_trained_with_a_function_of_the_trainer_s_has_raw_scores(predictor: Predictor, files: Files) -> None:
    def squared(scores: Any, data: lightgbm.Dataset) -> tuple[Any, Any]:
        return scores - data.get_label(), np.ones_like(scores)

    data = lightgbm.Dataset(FEATURES, SCORE, feature_name=list(NAMES))
    booster = lightgbm.train({"objective": squared, "verbose": -1, "num_threads": 1}, data, 3)
    answer = predictor.predict(files.lightgbm(booster, classes=("DOWN", "UP")), ROWS)
    assert (answer.kind, answer.objective, answer.classes) == (PredictionKind.RAW, "", ())
    np.testing.assert_allclose(_numbers(answer), booster.predict(MATRIX), rtol=0, atol=1e-12)


def test_categories_by_number_are_taken_by_xgboost(predictor: Predictor, files: Files) -> None:
    codes = (np.arange(len(FEATURES)) % 6).astype(float)
    features = np.column_stack([codes, FEATURES[:, 0]])
    label = SCORE + np.isin(codes, [1, 4]) * 3
    data = xgboost.DMatrix(
        features, label, feature_names=["venue", "x"], feature_types=["c", "q"], enable_categorical=True
    )
    booster = xgboost.train({"max_depth": 3, "nthread": 1, "max_cat_to_onehot": 1}, data, 3)
    answer = predictor.predict(files.xgboost(booster), rows_of(features, ("venue", "x")))
    np.testing.assert_allclose(_numbers(answer), booster.predict(data), rtol=1e-6, atol=1e-6)


def test_infinity_goes_where_lightgbm_sends_it_and_xgboost_refuses_it(predictor: Predictor, files: Files) -> None:
    matrix = MATRIX.copy()
    matrix[::3, 0], matrix[1::3, 2] = np.inf, -np.inf
    rows = [dict(zip(NAMES, map(float, row), strict=True)) for row in matrix]
    booster = lightgbm_booster("binary")
    answer = predictor.predict(files.lightgbm(booster), rows)
    np.testing.assert_allclose(_numbers(answer), booster.predict(matrix), rtol=0, atol=1e-12)
    with pytest.raises(InvalidRows, match="XGBoost does not take them: Input data contains `inf`"):
        predictor.predict(files.xgboost(xgboost_booster("binary:logistic")), rows)


def test_columns_go_by_name_and_never_by_place(predictor: Predictor, files: Files) -> None:
    model = files.lightgbm(lightgbm_booster("multiclass"), classes=("DOWN", "NEUTRAL", "UP"))
    answer = predictor.predict(model, ROWS)
    turned = [{"extra": 1.0, **dict(reversed(row.items()))} for row in ROWS]
    again = predictor.predict(model, turned)
    assert again.predictions == answer.predictions
    assert (answer.extra_features, again.extra_features) == ((), ("extra",))
    assert {one.signal for one in answer.predictions} > {Signal.BULLISH, Signal.BEARISH}


def test_every_missing_feature_is_named_before_any_child_is_asked(predictor: Predictor, files: Files) -> None:
    model = files.xgboost(xgboost_booster("reg:squarederror"))
    with pytest.raises(InvalidRows, match="missing features: 'volatility_20', 'volume_z'") as refused:
        predictor.predict(model, [{"momentum_5": 1.0, "spread_3": 2.0}])
    assert refused.value.missing == ("volatility_20", "volume_z")
    with pytest.raises(InvalidRows, match="there are none"):
        predictor.predict(model, [])


MEAN, STD, FILL = [0.5, -1.0, 0.0, 2.0], [2.0, 0.25, 0.0, 5e-17], [0.1, 0.2, 0.3, 0.4]
FORMS: dict[str, Any] = {
    "guide": {name: {"mean": mean, "std": std} for name, mean, std in zip(NAMES, MEAN, STD, strict=True)},
    "names from the metadata": {"mean": MEAN, "std": STD},
    "mean and std": {"mean": MEAN, "std": STD, "feature_names": NAMES},
    "means and stds": {"means": MEAN, "stds": STD, "feature_names": NAMES},
    "scale and fill values": {"mean": MEAN, "scale": STD, "feature_names": NAMES, "fill_values": FILL},
    "features": {"mean": MEAN, "std": STD, "features": NAMES},
    "params": {
        "params": {name: {"mean": mean, "stdDev": std} for name, mean, std in zip(NAMES, MEAN, STD, strict=True)}
    },
    "another order": {"mean": MEAN[::-1], "std": STD[::-1], "feature_names": NAMES[::-1]},
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_normalized_by_every_form_of_a_normalizer(predictor: Predictor, files: Files, form: str) -> None:
    normalizer = read_normalizer(json.dumps(FORMS[form]).encode(), FileReport("normalizer.json"), NAMES)
    matrix = np.where(np.isnan(MATRIX), FILL, MATRIX) if form == "scale and fill values" else MATRIX
    scores = np.column_stack(
        [(matrix[:, 0] - 0.5) / 2, (matrix[:, 1] + 1) / 0.25, np.zeros(len(matrix)), matrix[:, 3] - 2.0]
    )
    for booster, library in ((lightgbm_booster("binary"), "lightgbm"), (xgboost_booster("binary:logistic"), "xgboost")):
        model = getattr(files, library)(booster, normalizer=normalizer)
        answer = predictor.predict(model, ROWS)
        data: Any = scores if library == "lightgbm" else xgboost.DMatrix(scores, feature_names=NAMES)
        np.testing.assert_allclose(
            _numbers(answer), booster.predict(data), rtol=0, atol=1e-12 if data is scores else 1e-6
        )
        assert answer.warnings == ("1 features have a std below 1e-12, such as 'volume_z'; 1 is used for it.",)


def test_a_booster_without_names_takes_the_normalizer_s_in_their_order(predictor: Predictor, files: Files) -> None:
    normalizer = Normalizer(NAMES, (0.0,) * 4, (1.0,) * 4)
    for booster, library in (
        (lightgbm_booster("regression", None), "lightgbm"),
        (xgboost_booster("reg:squarederror", None), "xgboost"),
    ):
        model = getattr(files, library)(booster, normalizer=normalizer)
        answer = predictor.predict(model, ROWS)
        assert "trained without names of features: those of the normalizer" in answer.warnings[0]
        data: Any = MATRIX if library == "lightgbm" else xgboost.DMatrix(MATRIX)
        np.testing.assert_allclose(_numbers(answer), booster.predict(data), rtol=1e-6, atol=1e-12)


def test_names_with_spaces_are_those_that_lightgbm_writes_with_underscores(predictor: Predictor, files: Files) -> None:
    names = tuple(name.replace("_", " ") for name in NAMES)
    data = lightgbm.Dataset(FEATURES, SCORE, feature_name=list(names))
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, data, 3)
    assert booster.feature_name() == list(NAMES)
    answer = predictor.predict(files.lightgbm(booster, feature_names=names), rows_of(MATRIX, names))
    np.testing.assert_allclose(_numbers(answer), booster.predict(MATRIX), rtol=0, atol=1e-12)


def test_the_threshold_is_the_model_s(predictor: Predictor, files: Files) -> None:
    model = files.lightgbm(lightgbm_booster("binary"), classes=("DOWN", "UP"), threshold=0.7)
    answer = predictor.predict(model, ROWS)
    shares = lightgbm_booster("binary").predict(MATRIX)
    assert [one.class_name == "UP" for one in answer.predictions] == [share > 0.7 for share in shares]
    assert answer.threshold == 0.7
    assert [one.strength for one in answer.predictions] == pytest.approx([(share - 0.7) * 2 for share in shares])
    with pytest.raises(ValueError, match="probability"):
        files.lightgbm(lightgbm_booster("binary"), threshold=1.5)


def test_leaves_that_are_not_finite_are_told_and_left_out(predictor: Predictor, files: Files) -> None:
    booster = xgboost_booster("reg:squarederror", base_score=0.0)
    document = json.loads(bytes(booster.save_raw("json")))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    leaf = tree["left_children"].index(-1)
    tree["split_conditions"][leaf] = math.nan
    answer = predictor.predict(files.xgboost(json.dumps(document).encode()), ROWS)
    lost = [number for number, one in enumerate(answer.predictions) if one == Prediction()]
    assert 0 < len(lost) < len(ROWS)
    assert answer.warnings == (
        f"{len(lost)} rows have a prediction that is not finite, which is left out: {', '.join(map(str, lost[:20]))}"
        + (" …." if len(lost) > 20 else "."),
    )


def test_a_batch_is_bounded_in_rows_and_numbers(make_predictor: MakePredictor, files: Files) -> None:
    model = files.lightgbm(lightgbm_booster("binary"))
    with pytest.raises(BodyTooLarge, match="40 rows of 4 features and 1 outputs are more than the 39 rows"):
        make_predictor(rows=39).predict(model, ROWS)
    with pytest.raises(BodyTooLarge, match="159 numbers"):
        make_predictor(cells=159).predict(model, ROWS)
    assert len(make_predictor(rows=40, cells=160).predict(model, ROWS).predictions) == 40


def test_other_classes_or_features_than_the_booster_s_are_refused(predictor: Predictor, files: Files) -> None:
    with pytest.raises(ModelUnusable, match="tells 2 apart"):
        predictor.predict(files.lightgbm(lightgbm_booster("binary"), classes=("a", "b", "c")), ROWS)
    with pytest.raises(ModelUnusable, match="'macd'"):
        names = ("macd", *NAMES[1:])
        predictor.predict(files.lightgbm(lightgbm_booster("binary"), feature_names=names), ROWS)


def test_the_process_that_asks_imports_no_library_of_models(files: Files) -> None:
    model = files.lightgbm(lightgbm_booster("binary"))
    program = (
        "import sys; from pathlib import Path; from mm_core.prediction import *; "
        f"model = PredictingModel(Path({str(model.path)!r}), {model.sha256!r}, ModelFormat.LIGHTGBM_TEXT); "
        f"predictor = Predictor(); answer = predictor.predict(model, [dict.fromkeys({NAMES!r}, 1.0)]); "
        "predictor.close(); print(len(answer.predictions), "
        "sorted({'lightgbm', 'xgboost', 'numpy', 'scipy', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 []"
