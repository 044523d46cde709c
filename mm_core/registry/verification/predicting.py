"""The test prediction: what a version says of the means of its own features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mm_core.domain.files import FileRole
from mm_core.domain.predictions import Prediction, PredictionAnswer
from mm_core.domain.verification import Check, CheckName, Notice, Outcome
from mm_core.domain.versions import ALL_FIVE, UNKNOWN_SCALER, Normalizer, Version, VersionLayout
from mm_core.errors import AmbiguousModel, ModelManagerError, ModelUnusable, PredictionFailed, PredictorBusy
from mm_core.prediction import PredictingModel, Row, features_of
from mm_core.registry.normalizers import effective_of
from mm_core.registry.verification.places import Place
from mm_core.registry.verification.subject import MEND_FIRST, SHARED, SHOWN, Subject, fail, some
from mm_core.registry.version_refusals import SEVERAL_MODELS, WITHOUT_MODEL
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
    version = place.version if place is not None else None
    if version is not None and version.model is None:
        reason = next((one for one in version.findings if one.code in WITHOUT_MODEL), None)
        if reason is not None and reason.code == SEVERAL_MODELS:
            return fail(name, AmbiguousModel.code or "", reason.detail, reason.remedy), None
        if reason is not None:
            return Check(name, Outcome.SKIPPED, reason.detail, "Try it where it was trained, with what wrote it."), None
    if version is not None and version.can_predict and version.has_unread_scaler:
        unread = next(one for one in version.findings if one.code == UNKNOWN_SCALER)
        return fail(name, "NORMALIZER_INVALID", unread.detail, unread.remedy), None
    is_run = version is not None and version.layout is VersionLayout.RUNS
    if place is None or version is None or version.booster is None or not (version.normalizer or is_run) or (
        not version.can_predict
    ):  # fmt: skip
        return fail(name, "CANNOT_PREDICT", "There is nothing whole to predict with.", MEND_FIRST), None
    try:
        normalizer = effective_of(view, subject.name, place.registration, version)
        row, what = _row_of(version, normalizer)
    except ModelUnusable as error:
        return fail(name, "CANNOT_PREDICT", error.detail, REMEDIES["CANNOT_PREDICT"]), None
    try:
        with _predicting(place, version, normalizer) as model:
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
    detail = f"{said}, for {what} {len(row)} features."
    return Check(name, Outcome.PASSED, detail, warnings=warnings), prediction.confidence


@contextmanager
def _predicting(place: Place, version: Version, normalizer: Normalizer | None) -> Iterator[PredictingModel]:
    """Give the model of a version with the file that has its text: a run's is written for as long as it is asked."""
    assert version.model is not None
    with ExitStack() as stack:
        path = place.directory / ALL_FIVE[FileRole.BOOSTER_TEXT]
        if place.model_json is not None:
            try:
                path = Path(stack.enter_context(TemporaryDirectory(prefix="model-manager-verify-")), "model.json")
                path.write_bytes(place.model_json)
            except OSError as error:
                raise PredictionFailed(
                    f"The model cannot be written to ask it ({error}). Make room in TMPDIR."
                ) from error
        yield PredictingModel(
            path,
            version.model.sha256,
            version.model.model_format,
            version.declared_features,
            normalizer,
            version.declared_classes,
            version.threshold,
        )


def _row_of(version: Version, normalizer: Normalizer | None) -> tuple[Mapping[str, float], str]:
    """Return the row that is asked about, and what it is: the means, or zeros where nothing is normalized."""
    if normalizer is not None:
        return dict(zip(normalizer.feature_names, normalizer.mean, strict=True)), "the means of"
    assert version.booster is not None
    names = features_of(version.booster.feature_names, version.declared_features, None).names
    return dict.fromkeys(names, 0.0), "zeros as"


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
