"""Predictions of a version's booster for rows by feature name, made in a child process."""

from __future__ import annotations

import os
import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from mm_core import strict_json
from mm_core.domain.predictions import ModelFormat, PredictionAnswer, PredictionKind
from mm_core.domain.versions import Normalizer
from mm_core.errors import BodyTooLarge, InvalidRows, ModelFileUnusable, ModelUnusable, PredictionFailed
from mm_core.prediction.features import features_of
from mm_core.prediction.outcomes import class_names, predictions, reading_of
from mm_core.prediction.pool import ChildPool, PredictionLimits
from mm_core.prediction.questions import BoosterFacts, Question, Reply, Trouble
from mm_core.prediction.rows import Row, matrix_of

FACTS_KEPT = 256


@dataclass(frozen=True, slots=True)
class PredictingModel:
    """A version as far as its predictions depend on it.

    ``path`` is the model's file and ``sha256`` the digest that its bytes must have. ``feature_names`` and ``classes``
    are the metadata's, empty where it has none; ``threshold`` is the probability above which the second of two classes
    is predicted.
    """

    path: Path
    sha256: str
    model_format: ModelFormat
    feature_names: tuple[str, ...] = ()
    normalizer: Normalizer | None = None
    classes: tuple[str, ...] = ()
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"A threshold is a probability, not {self.threshold}.")


class Predictor:
    """Predicts with boosters of LightGBM and XGBoost that this process never loads.

    The child process starts with the first question and ends when there are none for a while. Any number of threads
    may ask.
    """

    def __init__(self, limits: PredictionLimits | None = None) -> None:
        self._limits = limits or PredictionLimits()
        self._pool = ChildPool(self._limits)
        self._facts: OrderedDict[tuple[str, ModelFormat], BoosterFacts] = OrderedDict()
        self._lock = threading.Lock()
        self._features_of = lru_cache(FACTS_KEPT)(features_of)

    def predict(self, model: PredictingModel, rows: Sequence[Row]) -> PredictionAnswer:
        """Return one prediction for each row, read by the rules of `mm_core.prediction.outcomes`.

        Rows hold a number, or None for a missing value, for each of the model's features by name; others are reported.
        Raises `InvalidRows` that names every missing feature, `BodyTooLarge` for too many rows or numbers,
        `ModelUnusable` for a model that is damaged or does not fit its normalizer or metadata, `ModelFileUnusable`
        where its bytes are not those of its digest, `PredictionFailed` where the child dies, hangs or grows too large,
        `PredictorBusy` where too many wait.
        """
        if not rows:
            raise InvalidRows(["there are none"])
        facts = self.describe(model)
        self._check_size(len(rows), facts)
        features = self._features_of(facts.feature_names, model.feature_names, model.normalizer)
        reading = reading_of(model.model_format, facts.objective, facts.outputs)
        classes = class_names(reading, model.classes, facts.outputs)
        values, extra = matrix_of(rows, features.names)
        question = self._question(model, len(rows), features.normalizer, reading.from_margins)
        _, outputs = self._ask(question, values)
        if len(outputs) != 8 * len(rows) * facts.outputs:
            raise PredictionFailed("The prediction has no answer: outputs are missing. Ask again.")
        numbers = array("d", bytes(outputs))
        by_row = [numbers[at : at + facts.outputs] for at in range(0, len(numbers), facts.outputs)]
        found = predictions(reading, by_row, classes, model.threshold)
        return PredictionAnswer(
            kind=reading.kind,
            objective=facts.objective,
            classes=classes,
            threshold=model.threshold if reading.kind is PredictionKind.BINARY else None,
            predictions=found,
            extra_features=extra,
            warnings=features.warnings + _not_finite(numbers, facts.outputs),
        )

    def describe(self, model: PredictingModel) -> BoosterFacts:
        """Return what the booster is, as its library loads it; raises as `predict`."""
        key = (model.sha256, model.model_format)
        with self._lock:
            known = self._facts.get(key)
        if known is not None:
            return known
        reply, _ = self._ask(self._question(model), b"")
        if reply.facts is None:
            raise PredictionFailed("The prediction has no answer: the booster is not described. Ask again.")
        with self._lock:
            self._facts[key] = reply.facts
            while len(self._facts) > FACTS_KEPT:
                self._facts.popitem(last=False)
        return reply.facts

    def close(self) -> None:
        """End the child processes and wait until they are gone; who waits for an answer gets an error."""
        self._pool.close()

    @property
    def starts(self) -> int:
        """How many child processes were started so far."""
        return self._pool.starts

    def pids(self) -> tuple[int, ...]:
        """Return the numbers of the child processes that run."""
        return self._pool.pids()

    def _check_size(self, rows: int, facts: BoosterFacts) -> None:
        features, outputs = len(facts.feature_names), facts.outputs
        if rows > self._limits.rows or rows * max(features, outputs) > self._limits.cells:
            raise BodyTooLarge(
                f"{rows:,} rows of {features:,} features and {outputs:,} outputs are more than the "
                f"{self._limits.rows:,} rows and {self._limits.cells:,} numbers of one prediction. "
                "Ask with fewer rows at once."
            )

    def _question(
        self, model: PredictingModel, rows: int = 0, normalizer: Normalizer | None = None, from_margins: bool = False
    ) -> Question:
        return Question(
            path=os.fsencode(model.path.absolute()).decode("latin-1"),
            sha256=model.sha256,
            model_format=model.model_format,
            most_bytes=self._limits.model_bytes,
            models_kept=self._limits.models_kept,
            rows=rows,
            normalizer=normalizer,
            from_margins=from_margins,
        )

    def _ask(self, question: Question, numbers: array[float] | bytes) -> tuple[Reply, bytearray]:
        document, block = self._pool.ask(
            question.sha256, strict_json.encode(question), memoryview(numbers), question.rows
        )
        try:
            reply = strict_json.decode_as(document, Reply)
        except strict_json.NotJson as error:
            raise PredictionFailed(f"The prediction has no answer that can be read ({error}). Ask again.") from error
        if reply.trouble is not None:
            self._raise(question, reply)
        return reply, block

    def _raise(self, question: Question, reply: Reply) -> NoReturn:
        name = os.fsdecode(Path(question.path).name.encode("latin-1"))
        match reply.trouble:
            case Trouble.FILE:
                raise ModelFileUnusable(f"The model's file '{name}' cannot be used: {reply.reason}. Refresh the model.")
            case Trouble.DIGEST:
                raise ModelFileUnusable(
                    f"The model's file '{name}' changed: {reply.reason}, of which the SHA-256 begins with "
                    f"{question.sha256[:12]}. Refresh the model, or put the file back."
                )
            case Trouble.MODEL:
                raise ModelUnusable(f"The model's file '{name}' is damaged. {reply.reason}")
            case Trouble.ROWS:
                raise InvalidRows([reply.reason])
            case Trouble.MEMORY:
                raise PredictionFailed(
                    f"The prediction needs more than the {self._limits.memory_bytes >> 20} MiB of memory that it may "
                    "have. Ask with fewer rows, or train a smaller model."
                )
            case _:
                raise PredictionFailed(f"The prediction failed: {reply.reason or 'no reason was given'}. Ask again.")


def _not_finite(numbers: array[float], outputs: int) -> tuple[str, ...]:
    total = sum(numbers)
    if total - total == 0:
        return ()
    rows = sorted({place // outputs for place, number in enumerate(numbers) if number - number != 0})
    if not rows:
        return ()
    listed = ", ".join(map(str, rows[:20])) + (" …" if len(rows) > 20 else "")
    return (f"{len(rows)} rows have a prediction that is not finite, which is left out: {listed}.",)
