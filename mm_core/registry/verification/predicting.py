"""The test prediction: what a version says of the means of its own features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mm_core.domain.files import FileRole
from mm_core.domain.predictions import Prediction, PredictionAnswer
from mm_core.domain.verification import Check, CheckName, Notice, Outcome
from mm_core.domain.versions import ALL_FIVE, VersionLayout
from mm_core.errors import ModelManagerError, ModelUnusable, PredictionFailed, PredictorBusy
from mm_core.prediction import ModelFormat, PredictingModel, Row
from mm_core.registry.normalizers import effective_of
from mm_core.registry.verification.subject import MEND_FIRST, SHARED, SHOWN, Subject, fail, some
from mm_core.store import StoreView

Predict = Callable[[PredictingModel, Sequence[Row]], PredictionAnswer]

CODES: Mapping[type[ModelManagerError], str] = {
    ModelUnusable: "CANNOT_PREDICT",
    PredictionFailed: "PREDICTION_FAILED",
    PredictorBusy: "PREDICTOR_BUSY",
}
REMEDIES: Mapping[str, str] = {
    "CANNOT_PREDICT": "Save the model again with booster.save_model('model.txt'), all files of one training run.",
    "PREDICTION_FAILED": "Verify again; if it goes on, train the model again with the library that is installed here.",
    "PREDICTOR_BUSY": "Verify again in a minute.",
}


def check_prediction(view: StoreView, subject: Subject, predict: Predict) -> tuple[Check, float | None]:
    """Predict for one row, the means of the normalizer, and return the prediction's confidence beside the check.

    It is the normalizer that bots are given at this view, with what people set laid over that of the files.
    """
    name = CheckName.TEST_PREDICTION
    place = subject.place
    if place is not None and place.version.layout is VersionLayout.RUNS:
        what = "The models of training runs are listed and never loaded, so none was asked."
        return Check(name, Outcome.SKIPPED, what, "Try it where it was trained, with what wrote it."), None
    version = place.version if place is not None else None
    if place is None or version is None or version.model is None or version.normalizer is None or (
        not version.can_predict
    ):  # fmt: skip
        return fail(name, "CANNOT_PREDICT", "There is nothing whole to predict with.", MEND_FIRST), None
    metadata = version.metadata
    try:
        normalizer = effective_of(view, subject.name, place.registration, version) or version.normalizer
    except ModelUnusable as error:
        return fail(name, "CANNOT_PREDICT", error.detail, REMEDIES["CANNOT_PREDICT"]), None
    model = PredictingModel(
        place.directory / ALL_FIVE[FileRole.BOOSTER_TEXT],
        version.model.sha256,
        ModelFormat.LIGHTGBM_TEXT,
        metadata.feature_names if metadata is not None else (),
        normalizer,
        metadata.classes if metadata is not None else (),
    )
    row = dict(zip(normalizer.feature_names, normalizer.mean, strict=True))
    try:
        answer = predict(model, [row])
    except ModelManagerError as error:
        code = CODES.get(type(error), "CANNOT_PREDICT")
        return fail(name, code, error.detail, REMEDIES[code]), None
    warnings = tuple(
        Notice("PREDICTION", sentence, "Look at the files of the version.") for sentence in answer.warnings
    )
    (prediction,) = answer.predictions
    said = _said(prediction)
    if said is None:
        return fail(
            name, "NOT_FINITE", "The prediction for the means of the features is not a finite number.",
            REMEDIES["CANNOT_PREDICT"], warnings=warnings,
        ), None  # fmt: skip
    detail = f"{said}, for the means of {len(normalizer.feature_names)} features."
    return Check(name, Outcome.PASSED, detail, warnings=warnings), prediction.confidence


def with_equal_confidences(check: Check, others: Sequence[str]) -> Check:
    """Return a test prediction with the warning that other models are as sure, to the ninth digit."""
    notice = Notice(
        SHARED,
        f"{len(others) + 1} models have the same confidence: {some(others)} as well. They may be one model.",
        "Compare their files; copy the model of each version's own training.",
    )
    return replace(check, warnings=(*check.warnings, notice))


def _said(prediction: Prediction) -> str | None:
    """Return what a prediction says, None for one that is not finite."""
    if prediction.class_name is not None:
        sure = f" with confidence {prediction.confidence:.4f}" if prediction.confidence is not None else ""
        return f"{prediction.class_name}{sure}" + (f" ({prediction.signal})" if prediction.signal is not None else "")
    if prediction.value is not None:
        return f"{prediction.value:.6g}"
    if prediction.values is not None and None not in prediction.values:
        return ", ".join(f"{value:.6g}" for value in prediction.values[:SHOWN])
    return None
