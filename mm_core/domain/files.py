"""The files of a model, as a directory lists them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FileRole(StrEnum):
    """What a file of a group or of a version is for; the value is its name in HTTP answers.

    ``RUN_MODEL`` is each model of a training run, whatever its format, ``SCALERS`` what normalized its features;
    ``OTHER`` belongs to a version and is not read.
    """

    FACTORS = "factors_txt"
    IC = "ic_csv"
    INFO = "info_pkl"
    MODEL_PICKLE = "model_pkl"
    MODEL_JSON = "model_json"
    MODEL_ONNX = "model_onnx"
    BOOSTER_TEXT = "model_txt"
    NORMALIZER = "normalizer_json"
    METADATA = "metadata_json"
    IMPORTANCE = "feature_importance_csv"
    EVALUATION = "test_evaluation_json"
    TRAINING_METADATA = "training_metadata_json"
    RUN_MODEL = "run_model"
    SCALERS = "scalers_pkl"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file as the directory listed it: ``path`` relative to the root, sizes in bytes, times in nanoseconds."""

    role: FileRole
    path: str
    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int
