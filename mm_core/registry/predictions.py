"""Predictions of versions that run: what is deployed answers, shadows beside it vote in the log and count nowhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mm_core.domain.lifecycle import Status, Tier
from mm_core.domain.predictions import Prediction, PredictionAnswer
from mm_core.domain.version_records import VersionRecord
from mm_core.errors import ModelFileUnusable, ModelManagerError, VersionNotFound, VersionUnusable
from mm_core.logs import get_logger
from mm_core.prediction import PredictingModel, PredictionLimits, Predictor, Row, decode_rows
from mm_core.registry.background import AsideThread
from mm_core.registry.deploy_checks import (
    way_to_deploy,
)
from mm_core.registry.lifecycle_lookups import checked_version, require_record
from mm_core.registry.normalizers import effective_of
from mm_core.registry.version_lookups import HeldVersion, only_held
from mm_core.registry.version_payloads import VersionPayloads, run_warnings
from mm_core.registry.version_refusals import refusal, what_keeps
from mm_core.registry.version_roots import VersionRoots
from mm_core.store import RegistryStore, StoreView

MOST_VOTES = 100
"""Votes that one line of the log tells one by one."""

WAITING_SHADOWS = 4
"""Questions that wait for the shadows; beyond that they are not asked, since their votes are for comparison alone."""

log = get_logger("mm_core.predictions")


@dataclass(frozen=True, slots=True)
class VersionPrediction:
    """What a version says of rows; ``counts`` tells whether it is the deployed one, whose word alone counts."""

    record: VersionRecord
    model_sha256: str
    answer: PredictionAnswer

    @property
    def counts(self) -> bool:
        """Whether anything may be made of it: what a shadow says is logged, and takes part in nothing."""
        return self.record.status.counts


class Predictions:
    """Asks child processes what versions say of rows; the process that serves loads no model."""

    def __init__(
        self, store: RegistryStore, roots: VersionRoots, payloads: VersionPayloads, limits: PredictionLimits
    ) -> None:
        self._store = store
        self._roots = roots
        self._payloads = payloads
        self._predictor = Predictor(limits)
        self._of_shadows = Predictor(limits)
        self._aside = AsideThread("shadow-votes", WAITING_SHADOWS)

    def predict(self, name: str, version: str, rows: bytes, caller_tier: Tier | None = None) -> VersionPrediction:
        """Return what a version that runs says of rows, a JSON array of objects with a number by feature name.

        Where it is the deployed one, the shadows beside it are asked the same afterwards, in another process, and
        their votes are logged. Raises `VersionNotFound` for what is not registered or does not run, `VersionUnusable`
        for files with errors, and as `Predictor.predict`.
        """
        view = self._store.view()
        held, record = self._running(view, name, version, caller_tier)
        decoded = decode_rows(rows)
        question = hashlib.sha256(rows).hexdigest()[:16]
        found = self._ask(view, self._predictor, held, record, decoded)
        _log_votes(found, question)
        if record.status is Status.DEPLOYED:
            self._let_shadows_vote(view, record, decoded, question)
        return found

    def close(self) -> None:
        """End the child processes; who waits for an answer gets an error."""
        self._aside.stop()
        self._predictor.close()
        self._of_shadows.close()

    def pids(self) -> tuple[int, ...]:
        """Return the numbers of the child processes that run."""
        return (*self._predictor.pids(), *self._of_shadows.pids())

    def _running(
        self, view: StoreView, name: str, version: str, caller_tier: Tier | None
    ) -> tuple[HeldVersion, VersionRecord]:
        try:
            one = only_held(view, name, version, caller_tier)
        except (VersionNotFound, VersionUnusable):
            _require_runs(require_record(view, name, version, self._roots, caller_tier))
            raise
        record = one.record or require_record(view, one.family.name, checked_version(version), self._roots, caller_tier)
        _require_runs(record)
        return one, record

    def _ask(
        self, view: StoreView, predictor: Predictor, held: HeldVersion, record: VersionRecord, rows: Sequence[Row]
    ) -> VersionPrediction:
        model = self._predicting(view, held)
        try:
            answer = predictor.predict(model, rows)
        except ModelFileUnusable:  # what is kept of it is damaged, or was lost just now
            self._payloads.make_model_whole(held)
            answer = predictor.predict(model, rows)
        answer = replace(answer, warnings=(*answer.warnings, *run_warnings(held.version)))
        return VersionPrediction(record, model.sha256, answer)

    def _predicting(self, view: StoreView, held: HeldVersion) -> PredictingModel:
        if not held.can_predict or held.version.has_unread_scaler:
            reasons = what_keeps(held.findings, scaler_needed=True)
            way_out = "Mend its files, or ask another version."
            raise refusal(held.title, held.directory, reasons, "cannot predict", way_out)
        path, model = self._payloads.model_file(held)
        version = held.version
        return PredictingModel(
            path,
            model.sha256,
            model.model_format,
            version.declared_features,
            effective_of(view, held.family.name, held.model.name, version),
            version.declared_classes,
            version.threshold,
        )

    def _let_shadows_vote(self, view: StoreView, champion: VersionRecord, rows: Sequence[Row], question: str) -> None:
        shadows = [record for record in view.lifecycle.records(champion.model_name) if record.status is Status.SHADOW]
        if shadows and not self._aside.offer(lambda: self._ask_shadows(view, shadows, rows, question)):
            log.warning("shadow_votes_left_out", model=champion.model_name, question=question, shadows=len(shadows))

    def _ask_shadows(
        self, view: StoreView, shadows: Sequence[VersionRecord], rows: Sequence[Row], question: str
    ) -> None:
        for record in shadows:
            try:
                held = only_held(view, record.model_name, record.model_version)
                _log_votes(self._ask(view, self._of_shadows, held, record, rows), question)
            except ModelManagerError as error:
                log.warning("shadow_vote_failed", **_of(record), question=question, reason=error.detail)


def prediction_document(found: VersionPrediction) -> dict[str, Any]:
    """Return what a prediction answers."""
    record, answer = found.record, found.answer
    return {
        "model_name": record.model_name,
        "model_version": record.model_version,
        "model_id": record.model_id,
        "model_sha256": found.model_sha256,
        "status": record.status,
        "counts": found.counts,
        **{name: getattr(answer, name) for name in PredictionAnswer.__dataclass_fields__},
    }


def _require_runs(record: VersionRecord) -> None:
    if not record.status.runs:
        raise VersionNotFound(
            f"Model not found: {record.title} is '{record.status}', and only what is deployed or a shadow predicts. "
            f"To ask it, {way_to_deploy(record)}, or make it a shadow."
        )


def _of(record: VersionRecord) -> dict[str, Any]:
    return {
        "model": record.model_name,
        "version": record.model_version,
        "model_id": record.model_id,
        "status": str(record.status),
    }


def _log_votes(found: VersionPrediction, question: str) -> None:
    """Log what a version said; ``question`` tells which lines are about the same rows."""
    predictions = found.answer.predictions
    classes = Counter(one.class_name for one in predictions if one.class_name is not None)
    log.info(
        "votes" if found.counts else "shadow_votes",
        **_of(found.record),
        counts=found.counts,
        question=question,
        rows=len(predictions),
        classes=dict(classes),
        votes=[_vote(one) for one in predictions[:MOST_VOTES]],
    )


def _vote(one: Prediction) -> list[Any]:
    """Return class, signal and confidence of a classifier, the output of any other model."""
    if one.class_name is not None:
        return [one.class_name, one.signal, one.confidence]
    return [one.value if one.values is None else list(one.values)]
