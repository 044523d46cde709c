"""Boosters in the memory of a child process: read, checked, loaded by the library that trained them, asked.

The only module that loads LightGBM or XGBoost to predict; it is imported by the child process alone.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from mm_core.artifacts.readers.lightgbm_trees import predicting_text
from mm_core.artifacts.readers.lightgbm_txt import read_booster_text
from mm_core.artifacts.readers.model_document import decode_model
from mm_core.artifacts.readers.model_json import read_booster
from mm_core.artifacts.readers.model_objective import objective_name
from mm_core.artifacts.readers.report import FileReport
from mm_core.child_processes import leave_out_what_boosters_do_without
from mm_core.domain.predictions import ModelFormat
from mm_core.errors import UnreadableArtifact
from mm_core.prediction.questions import BoosterFacts, Question, Trouble
from mm_core.strict_json import MISSING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Matrix = NDArray[numpy.float64]

MOST_BYTES_KEPT = 256 << 20
"""Bytes of model files up to which boosters are remembered; in memory each is several times as large as its file."""

SOURCE_PLACE = re.compile(r"^\[[^]]*\] \S+:\d+: (?:Check failed: (?:\w+: )?)?")
"""How XGBoost's messages begin: time, file and line, and what was checked."""


class Refused(Exception):
    """A question without an answer: which trouble, and a sentence."""

    def __init__(self, trouble: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.trouble = trouble


class Booster(ABC):
    """A loaded model: what it is, and its outputs."""

    facts: BoosterFacts

    @abstractmethod
    def outputs(self, matrix: Matrix, from_margins: bool) -> Matrix:
        """Return float64 of shape (rows, outputs) for a matrix of shape (rows, features); NaN is a missing value."""


class Boosters:
    """The boosters that were asked last, by the digest of their bytes: what is here is never read again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ModelFormat], tuple[Booster, int]] = OrderedDict()

    def get(self, question: Question) -> Booster:
        """Return the booster of a question; raise `Refused` where its file is not that of the digest, or unsound."""
        key = (question.sha256, question.model_format)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        data = _read(question)
        self._make_room(question.models_kept - 1, MOST_BYTES_KEPT - len(data))
        try:
            booster = _LOADERS[question.model_format](data)
        except UnreadableArtifact as error:
            raise Refused(Trouble.MODEL, f"{error.detail} {error.remedy}") from None
        self._kept[key] = (booster, len(data))
        return booster

    def forget(self) -> None:
        """Drop every booster."""
        self._kept.clear()

    def _make_room(self, count: int, size: int) -> None:
        while self._kept and (len(self._kept) > count or sum(held for _, held in self._kept.values()) > size):
            self._kept.popitem(last=False)


def _read(question: Question) -> bytes:
    """Return the bytes that the digest names: those and no others are loaded."""
    try:
        descriptor = os.open(question.path.encode("latin-1"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Refused(Trouble.FILE, "it is no regular file")
            if status.st_size > question.most_bytes:
                raise Refused(
                    Trouble.FILE,
                    f"it has {status.st_size:,} bytes, more than the {question.most_bytes:,} that are taken",
                )
            data = file.read(question.most_bytes)
    except OSError as error:
        raise Refused(Trouble.FILE, f"it cannot be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != question.sha256:
        raise Refused(Trouble.DIGEST, "its bytes are not those of the version")
    return data


class _LightGBM(Booster):
    def __init__(self, data: bytes) -> None:
        text, _ = read_booster_text(io.BytesIO(data))
        checked = predicting_text(data)
        leave_out_what_boosters_do_without()
        import lightgbm

        try:
            self._booster = lightgbm.Booster(model_str=checked)
        except lightgbm.basic.LightGBMError as error:
            raise Refused(Trouble.MODEL, f"LightGBM refuses it: {_first_line(error)}") from None
        loaded = (self._booster.num_feature(), self._booster.num_trees(), self._booster.num_model_per_iteration())
        if loaded != (len(text.feature_names), text.num_trees, text.num_class):
            raise Refused(Trouble.MODEL, "LightGBM reads another number of features, trees or classes from it.")
        self.facts = BoosterFacts(text.feature_names, text.objective, text.num_class)

    def outputs(self, matrix: Matrix, from_margins: bool) -> Matrix:
        found: Any = self._booster.predict(matrix, raw_score=from_margins, num_threads=1)
        return _as_rows(found, len(matrix))


class _XGBoost(Booster):
    def __init__(self, data: bytes) -> None:
        read_booster(data, FileReport("model.json"))
        document, _ = decode_model(data)
        learner = document.learner
        if document.model.cats is not MISSING and any(document.model.cats.feature_segments):
            raise Refused(
                Trouble.MODEL,
                "It was trained on categories with names, and rows hold numbers. Train it with numbers as codes.",
            )
        leave_out_what_boosters_do_without()
        import xgboost

        self._xgboost = xgboost
        self._booster = xgboost.Booster({"nthread": 1})
        try:
            self._booster.load_model(bytearray(data))
        except xgboost.core.XGBoostError as error:
            raise Refused(Trouble.MODEL, f"XGBoost refuses it: {_first_line(error)}") from None
        features = int(learner.learner_model_param.num_feature)
        outputs = max(1, int(learner.learner_model_param.num_class), int(learner.learner_model_param.num_target))
        names = tuple(learner.feature_names) or tuple(f"f{place}" for place in range(features))
        self.facts = BoosterFacts(names, objective_name(learner.objective), outputs)

    def outputs(self, matrix: Matrix, from_margins: bool) -> Matrix:
        try:
            rows = self._xgboost.DMatrix(
                matrix,
                feature_names=self._booster.feature_names,
                feature_types=self._booster.feature_types,
                enable_categorical=True,
                nthread=1,
            )
            found = self._booster.predict(rows, output_margin=from_margins)
        except self._xgboost.core.XGBoostError as error:
            raise Refused(Trouble.ROWS, f"XGBoost does not take them: {_first_line(error)}") from None
        return _as_rows(found, len(matrix))


_LOADERS: dict[ModelFormat, type[_LightGBM] | type[_XGBoost]] = {
    ModelFormat.LIGHTGBM_TEXT: _LightGBM,
    ModelFormat.XGBOOST_JSON: _XGBoost,
}


def _as_rows(found: Any, rows: int) -> Matrix:
    import numpy

    return numpy.ascontiguousarray(found, dtype=numpy.float64).reshape(rows, -1)


def _first_line(error: Exception) -> str:
    """Return what a library says, without the place in its sources."""
    return SOURCE_PLACE.sub("", next(iter(str(error).splitlines()), ""))[:300] or type(error).__name__
