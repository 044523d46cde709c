"""Versions of a model: what a directory such as ``sentiment-fusion/v1.1.0`` or ``models/20250724_150837`` holds."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.predictions import ModelFormat
from mm_core.domain.runs import RunMetadata, model_of

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?\Z", re.ASCII)
_MODEL_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z", re.ASCII)

SMALLEST_STD = 1e-12
"""A standard deviation below this is no spread but rounding: dividing by it makes numbers without meaning."""

LARGEST_NUMBER = sys.float_info.max


UNKNOWN_SCALER = "scaler-not-read"
"""The finding of a run whose features were normalized by what cannot be told."""

USUAL_THRESHOLD = 0.5
"""Where nothing else is said."""


@dataclass(frozen=True, slots=True)
class VersionNumber:
    """``v2.0.0-beta``: three numbers, and what follows the hyphen; ``1.1.0`` and ``v1.1.0`` are one version."""

    major: int
    minor: int
    patch: int
    label: str = ""

    @classmethod
    def parse(cls, text: str) -> VersionNumber | None:
        """Return the version that ``text`` names, None where it names none."""
        match = _VERSION.match(text)
        if match is None or len(text) > 50:
            return None
        return cls(int(match[1]), int(match[2]), int(match[3]), match[4] or "")

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}" + (f"-{self.label}" if self.label else "")


def is_model_name(text: str) -> bool:
    """Whether ``text`` can name a model that has versions: kebab-case, at most 255 characters."""
    return len(text) <= 255 and _MODEL_NAME.match(text) is not None


@dataclass(frozen=True, slots=True)
class Normalizer:
    """Mean and standard deviation by feature, in the order of the model's features.

    ``fill_values`` stand for missing values before the normalization, where the training had some.
    """

    feature_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fill_values: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        columns = {len(self.feature_names), len(self.mean), len(self.std)}
        if self.fill_values is not None:
            columns.add(len(self.fill_values))
        if len(columns) != 1:
            raise ValueError(f"The columns of a normalizer must have one length, not {sorted(columns)}.")

    @property
    def variance(self) -> tuple[float, ...]:
        """The square of each std, the largest number that there is where it has none."""
        return tuple(min(std * std, LARGEST_NUMBER) for std in self.std)


@dataclass(frozen=True, slots=True)
class BoosterText:
    """What a booster is, as the text of LightGBM or XGBoost tells it.

    ``splits`` and ``gain`` are LightGBM's importance types ``split`` and ``gain``, XGBoost's ``weight`` and
    ``total_gain``: by feature, how many nodes split on it, and the sum of the gains of these splits. ``objective`` is
    the booster's; LightGBM's has its parameters. ``num_leaves`` are those of all trees.
    """

    feature_names: tuple[str, ...]
    objective: str
    num_class: int
    num_trees: int
    num_leaves: int
    splits: tuple[int, ...]
    gain: tuple[float, ...]

    @property
    def is_degenerate(self) -> bool:
        """Whether no tree splits or no split gains anything, so that every prediction is the same."""
        return not any(self.splits) or not any(self.gain)

    @property
    def has_no_names(self) -> bool:
        """Whether it was trained without names of features: LightGBM numbers the columns then."""
        return all(name == f"Column_{place}" for place, name in enumerate(self.feature_names))

    def may_be_called(self, names: Iterable[str]) -> bool:
        """Return whether its features, in their order, may have these names; LightGBM writes no spaces."""
        names = tuple(names)
        if self.has_no_names:
            return len(names) == len(self.feature_names)
        return self.feature_names == tuple(name.replace(" ", "_") for name in names)


@dataclass(frozen=True, slots=True)
class VersionMetadata:
    """``metadata.json`` in canonical names; None or empty where the file has no such value.

    ``training_date`` is ISO 8601 as the file has it, ``feature_importance`` as declared there, ``extra`` what has no
    canonical name, by its own.
    """

    model_version: str | None = None
    model_type: str | None = None
    algorithm: str | None = None
    objective: str | None = None
    num_classes: int | None = None
    classes: tuple[str, ...] = ()
    training_date: str | None = None
    training_examples: int | None = None
    validation_examples: int | None = None
    num_features: int | None = None
    validation_accuracy: float | None = None
    best_iteration: int | None = None
    total_iterations: int | None = None
    feature_names: tuple[str, ...] = ()
    feature_importance: Mapping[str, float] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """How well one class is told; each in [0, 1], None where the file has no finite number."""

    precision: float | None
    recall: float | None
    f1_score: float | None
    support: int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """``test_evaluation.json`` in canonical names.

    ``confusion_matrix`` counts by true class, then predicted class. ``majority_baseline`` is the share of the most
    frequent true class: the accuracy of always guessing it.
    """

    accuracy: float | None = None
    examples: int | None = None
    majority_baseline: float | None = None
    per_class: Mapping[str, ClassMetrics] = field(default_factory=dict)
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def accuracy_of_matrix(self) -> float | None:
        """The share of the confusion matrix's diagonal; None without a matrix."""
        total = sum(map(sum, self.confusion_matrix))
        if not total:
            return None
        return sum(row[place] for place, row in enumerate(self.confusion_matrix)) / total


class VersionLayout(StrEnum):
    """By which convention a version directory is laid out; the value is its name in answers."""

    VERSIONS = "versions"
    RUNS = "runs"

    def number_in(self, version_id: str) -> VersionNumber | None:
        """Return what a directory's name says of a version; None for a run."""
        return VersionNumber.parse(version_id) if self is VersionLayout.VERSIONS else None


@dataclass(frozen=True, slots=True)
class ModelContent:
    """The bytes of a version's model: where they are kept, ``sha256`` is their name.

    ``source`` is the file that they were taken from, relative to the root; empty where that is ``model.txt`` itself.
    """

    sha256: str
    size_bytes: int
    model_format: ModelFormat = ModelFormat.LIGHTGBM_TEXT
    source: str = ""

    @property
    def suffix(self) -> str:
        """How the file ends in which they are kept."""
        return ".txt" if self.model_format is ModelFormat.LIGHTGBM_TEXT else ".json"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model: its files read and held against each other.

    ``model_name`` is the name of the directory around it, empty where that is the registered root: then the
    registration's name counts. ``version_id`` is the directory's own name, ``number`` what it says of a version,
    None for a run. ``path`` is the directory relative to the root, ``files`` all that it holds. ``created_at`` is ISO
    8601 UTC: when a run was published, when a version was trained, or the time of its newest file. ``model`` and
    ``booster`` are those of ``model.txt``, of a run those of the XGBoost model that bots are given, ``normalizer`` of a
    run that of its scaler. ``importance`` is what ``feature_importance.csv`` or the metadata declares, ``run`` what the
    metadata of a run says. ``rules`` is the version of the rules that all of it was read by.

    A version with an error among its findings cannot predict.
    """

    model_name: str
    version_id: str
    number: VersionNumber | None
    layout: VersionLayout
    path: str
    files: tuple[ModelFile, ...]
    created_at: str
    findings: tuple[Finding, ...]
    read_at: str
    model: ModelContent | None = None
    booster: BoosterText | None = None
    normalizer: Normalizer | None = None
    metadata: VersionMetadata | None = None
    evaluation: Evaluation | None = None
    importance: Mapping[str, float] = field(default_factory=dict)
    run: RunMetadata | None = None
    rules: int = 1

    @property
    def can_predict(self) -> bool:
        """Whether everything is there that a prediction needs, and fits together."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    @property
    def declared_features(self) -> tuple[str, ...]:
        """The features of the model's columns as the metadata names them, empty where it does not."""
        declared = self.metadata or self.run
        return declared.feature_names if declared is not None else ()

    @property
    def declared_classes(self) -> tuple[str, ...]:
        """The classes in the order of the labels as the metadata names them, empty where it does not."""
        declared = self.metadata or self.run
        return declared.classes if declared is not None else ()

    @property
    def threshold(self) -> float:
        """The probability above which the second of two classes is predicted."""
        said = self.run.prediction_threshold if self.run is not None else None
        return said if said is not None and 0 <= said <= 1 else USUAL_THRESHOLD

    @property
    def run_model(self) -> str | None:
        """What a run calls the model that bots are given; None for a version, and where there is none."""
        if self.layout is not VersionLayout.RUNS or self.model is None:
            return None
        named = model_of(self.model.source.rpartition("/")[2])
        return named[0] if named is not None else None

    @property
    def has_unread_scaler(self) -> bool:
        """Whether its features were normalized by something that is there and cannot be told to bots."""
        return any(finding.code == UNKNOWN_SCALER for finding in self.findings)

    @property
    def size_bytes(self) -> int:
        """The sizes of all files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def name(self) -> str:
        """The version as people compare it: ``v1.1.0`` for a directory ``1.1.0``, the directory's name for a run."""
        return str(self.number) if self.number is not None else self.version_id


ALL_FIVE: dict[FileRole, str] = {
    FileRole.BOOSTER_TEXT: "model.txt",
    FileRole.NORMALIZER: "normalizer.json",
    FileRole.METADATA: "metadata.json",
    FileRole.IMPORTANCE: "feature_importance.csv",
    FileRole.EVALUATION: "test_evaluation.json",
}
"""The files of a version by their roles; the last two are optional."""

REQUIRED = (FileRole.BOOSTER_TEXT, FileRole.NORMALIZER, FileRole.METADATA)
"""The roles without which a version cannot predict."""

_OPTIONAL_CODES = {FileRole.IMPORTANCE: "importance-missing", FileRole.EVALUATION: "evaluation-missing"}


def missing_optional_files(version: Version) -> tuple[Finding, ...]:
    """Return an error for each file of the five that a version lacks though the guide leaves it out; none for a run."""
    present = {file.role for file in version.files}
    if version.layout is not VersionLayout.VERSIONS:
        return ()
    return tuple(
        Finding(
            Severity.ERROR,
            code,
            f"{version.path}/{ALL_FIVE[role]}",
            "The file is missing, and all five are asked for.",
            "Write it at the end of the training, or check without --strict-all.",
        )
        for role, code in _OPTIONAL_CODES.items()
        if role not in present
    )
