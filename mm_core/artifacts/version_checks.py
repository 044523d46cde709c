"""What the files of one version say of each other: counts, names, classes and importances that must agree."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from mm_core.artifacts.layouts import VersionFiles
from mm_core.artifacts.readers.version_metadata import WITHOUT_CLASSES
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.versions import (
    ALL_FIVE,
    BoosterText,
    Normalizer,
    VersionMetadata,
    VersionNumber,
    is_model_name,
)

FOREIGN_ENDINGS = (".pkl", ".joblib", ".pt", ".pth", ".h5", ".keras", ".safetensors")
"""Files of other frameworks; they are never loaded."""

FOREIGN_MODELS = re.compile(
    r"(?<![a-z0-9])(lstm|gru|rnn|cnn|mlp|transformer|bert|finbert|pytorch|torch|tensorflow|keras|svm|knn"
    r"|neural[ _-]?networks?|(?:linear|logistic)[ _-]?regression|random[ _-]?forest)(?![a-z0-9])"
)
"""In the name of an algorithm: what is no tree booster."""

TREE_BOOSTERS = re.compile(r"light ?gbm|lgbm|gbdt|xgboost|catboost|gradient[ _-]?boost", re.IGNORECASE)
"""In the name of an algorithm: what is one, whatever its features come from."""

FOREIGN_TYPES = frozenset({"linear_regression", "logistic_regression", "random_forest", "lstm", "transformer"})
"""Model types of the registry that are no tree boosters; others may be anything: many files have the model's name."""

TYPICAL_BYTES = (10_000, 500_000_000)
"""A model beyond these is worth a look: the guide says 10 to 500 MB, models in the field begin at a thousandth."""

ONE_TRAINING = "Take the files of one training run."
AS_THE_METADATA = "Write them in the order of the metadata's; json.dump sorts with sort_keys."

OF_OTHERS = frozenset({"stray-model-json", "foreign-files"})
"""Findings that come of names alone, of files that are not read."""


class VersionChecks:
    """Findings of one version, in the order in which they are asked for."""

    def __init__(self, listed: VersionFiles) -> None:
        self.listed = listed
        self.findings: list[Finding] = []

    def missing(self, codes: Mapping[FileRole, str]) -> None:
        """Find each file that is not there."""
        present = {file.role for file in self.listed.files}
        for role, code in codes.items():
            if role not in present:
                self._add(
                    Severity.ERROR,
                    code,
                    ALL_FIVE[role],
                    "The file is missing.",
                    "Copy it into the version's directory.",
                )

    def names(self, metadata: VersionMetadata | None) -> None:
        """Find a model or a version whose directory is called otherwise than the guide wants, or the metadata says."""
        name, version_id, number = self.listed.model_name, self.listed.version_id, self.listed.number
        if name and not is_model_name(name):
            self._warn(
                "model-name",
                "",
                f"The model's directory '{name}' is not named by lower case words with hyphens.",
                "Rename it to a name such as sentiment-fusion.",
            )
        written = metadata.model_version if metadata is not None else None
        if written is not None and VersionNumber.parse(written) != number:
            self._warn(
                "version-mismatch",
                "metadata.json",
                f"The metadata is of version '{written[:50]}', the directory of '{version_id}'.",
                "Write the metadata of the run that made the model.",
            )
        elif written not in (None, version_id):
            self._warn(
                "version-prefix",
                "metadata.json",
                f"The metadata writes '{written}', the directory is '{version_id}': one version, two spellings.",
                f"Write '{number}' in both.",
            )
        elif version_id != str(number):
            self._warn(
                "version-prefix",
                "",
                f"The directory is '{version_id}', the guide writes '{number}'.",
                f"Rename it to '{number}'.",
            )

    def repeated_normalizer(self, normalizer: Normalizer | None, repeated: Normalizer | None) -> None:
        """Find a normalizer that the metadata has otherwise, and say so where it alone has one."""
        if repeated is None:
            return
        if normalizer is not None and not _are_equal(normalizer, repeated):
            self._warn(
                "normalizer-mismatch",
                "normalizer.json",
                "The metadata's normalizationParams are other numbers: the files may be of two trainings.",
                "Take the files of one training run; normalizer.json is what counts.",
            )
        elif FileRole.NORMALIZER not in {file.role for file in self.listed.files}:
            self._warn(
                "normalizer-mismatch",
                "metadata.json",
                "The metadata has normalizationParams, and there is no normalizer.json.",
                "If they are this model's, write them into normalizer.json as {feature: {mean, std}}.",
            )

    def features(
        self, booster: BoosterText | None, normalizer: Normalizer | None, metadata: VersionMetadata | None
    ) -> None:
        """Find features that are not the same ones in the same order in every file."""
        names = metadata.feature_names if metadata is not None else ()
        counts = dict(_counts(booster, normalizer, metadata))
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{count} in {what}" for what, count in counts.items())
            self._error("normalizer-length", f"The numbers of features differ: {listed}.")
        elif normalizer is not None and names and normalizer.feature_names != names:
            is_shuffled = sorted(normalizer.feature_names) == sorted(names)
            self._error(
                "normalizer-invalid",
                "The normalizer's features are not those of the metadata in their order.",
                AS_THE_METADATA if is_shuffled else ONE_TRAINING,
            )
        elif normalizer is not None and booster is not None and not booster.may_be_called(normalizer.feature_names):
            self._error("normalizer-invalid", "The normalizer's features are not those of the booster in their order.")
        if booster is not None and booster.has_no_names:
            self._warn(
                "generic-feature-names",
                "model.txt",
                "The booster was trained without names of features: nothing tells that a column is in its place.",
                "Train with a DataFrame, or with feature_name=[…].",
            )

    def booster(self, booster: BoosterText | None, metadata: VersionMetadata | None) -> None:
        """Find a booster that predicts one thing, or as many classes as the metadata does not name."""
        if booster is None:
            return
        if booster.is_degenerate:
            self._warn(
                "degenerate-booster",
                "model.txt",
                "No tree of the booster splits, or no split gains anything: it predicts the same for every row.",
                "Look at the labels and the parameters of the training.",
            )
        outputs = _classes_of(booster)
        if metadata is None or outputs is None:
            return
        if (metadata.objective or "").split(" ")[0] in WITHOUT_CLASSES and not metadata.classes:
            self._add(
                Severity.ERROR,
                "classes-mismatch",
                "metadata.json",
                f"The booster tells {outputs} classes apart, the metadata's objective '{metadata.objective}' has none.",
                "Take the metadata of the training that made the model.",
            )
            return
        named = {count for count in (metadata.num_classes, len(metadata.classes) or None) if count is not None}
        if named - {outputs}:
            self._add(
                Severity.ERROR,
                "classes-mismatch",
                "metadata.json",
                f"The booster tells {outputs} classes apart, the metadata has {' and '.join(map(str, sorted(named)))}.",
                "Take the metadata of the training that made the model.",
            )

    def importance(
        self,
        booster: BoosterText | None,
        names: tuple[str, ...],
        table: Mapping[str, float],
        metadata: VersionMetadata | None,
    ) -> None:
        """Find declared importances that are not the booster's; ``names`` are what other files call its features."""
        if booster is None:
            return
        names = names if booster.may_be_called(names) else booster.feature_names
        declared = {
            "feature_importance.csv": table,
            "metadata.json": metadata.feature_importance if metadata is not None else {},
        }
        for file, importances in declared.items():
            if importances and not _are_importances_of(booster, names, importances):
                self._warn(
                    "importance-mismatch",
                    file,
                    "The declared importances are not those of the booster, by splits, gain or share of gain: "
                    "the files may be of two models.",
                    "Take all files of one training run.",
                )

    def kind(self, metadata: VersionMetadata | None) -> None:
        """Find a model that is no tree booster by what the metadata calls it."""
        if metadata is None:
            return
        base = metadata.extra.get("base_model")
        words = {
            "algorithm": metadata.algorithm or "",
            "base_model": base if isinstance(base, str) else "",
            "model_type": (metadata.model_type or "") if metadata.model_type in FOREIGN_TYPES else "",
        }
        for name, text in words.items():
            if FOREIGN_MODELS.search(text.casefold()) and not TREE_BOOSTERS.search(text):
                self._add(
                    Severity.ERROR,
                    "foreign-model-type",
                    "metadata.json",
                    f"'{name}' is '{text[:80]}', which is no tree booster: model.txt cannot be that model.",
                    "Keep models of other frameworks elsewhere; write the metadata of the LightGBM training.",
                )
                return

    def size(self) -> None:
        """Mention a model of a size that is far from what is usual."""
        smallest, largest = TYPICAL_BYTES
        for file in self.listed.files:
            if file.role is FileRole.BOOSTER_TEXT and not smallest <= file.size_bytes <= largest:
                self._add(
                    Severity.INFO,
                    "size",
                    "model.txt",
                    f"The model has {file.size_bytes:,} bytes.",
                    "Nothing to do if the training was meant so.",
                )

    def others(self) -> None:
        """Find files that are not read and should not be here."""
        self.findings += findings_of_others(self.listed)

    def _warn(self, code: str, name: str, detail: str, remedy: str) -> None:
        self._add(Severity.WARNING, code, name, detail, remedy)

    def _error(self, code: str, detail: str, remedy: str = ONE_TRAINING) -> None:
        self._add(Severity.ERROR, code, "normalizer.json", detail, remedy)

    def _add(self, severity: Severity, code: str, name: str, detail: str, remedy: str) -> None:
        self.findings.append(_finding(self.listed, severity, code, name, detail, remedy))


def findings_of_others(listed: VersionFiles) -> Iterator[Finding]:
    """Yield what the names of the files say that belong to no role."""
    others = listed.names_of(FileRole.OTHER)
    if "model.json" in others and listed.names_of(FileRole.BOOSTER_TEXT):
        yield _finding(
            listed,
            Severity.WARNING,
            "stray-model-json",
            "model.json",
            "A model.json stands beside model.txt; it is not used.",
            "Remove it, or move it to the version that it belongs to.",
        )
    foreign = [name for name in others if name.endswith(FOREIGN_ENDINGS)]
    if foreign:
        yield _finding(
            listed,
            Severity.WARNING,
            "foreign-files",
            foreign[0],
            f"{len(foreign)} files of other frameworks are here; they are not loaded.",
            "Keep them elsewhere.",
        )


def _finding(listed: VersionFiles, severity: Severity, code: str, name: str, detail: str, remedy: str) -> Finding:
    return Finding(severity, code, f"{listed.path}/{name}" if name else listed.path, detail, remedy)


def _counts(
    booster: BoosterText | None, normalizer: Normalizer | None, metadata: VersionMetadata | None
) -> Iterator[tuple[str, int]]:
    if booster is not None:
        yield "model.txt", len(booster.feature_names)
    if normalizer is not None:
        yield "normalizer.json", len(normalizer.feature_names)
    if metadata is not None and metadata.num_features is not None:
        yield "metadata.json", metadata.num_features
    if metadata is not None and metadata.feature_names:
        yield "the metadata's names", len(metadata.feature_names)


def _are_equal(normalizer: Normalizer, other: Normalizer) -> bool:
    """Return whether each feature has the same mean and std in both, but for rounding."""
    if set(normalizer.feature_names) != set(other.feature_names):
        return False
    theirs = dict(zip(other.feature_names, zip(other.mean, other.std, strict=True), strict=True))
    return all(
        math.isclose(ours, its, rel_tol=1e-6, abs_tol=1e-9)
        for name, *numbers in zip(normalizer.feature_names, normalizer.mean, normalizer.std, strict=True)
        for ours, its in zip(numbers, theirs[name], strict=True)
    )


def _classes_of(booster: BoosterText) -> int | None:
    """Return how many classes a booster tells apart; None where its objective has none."""
    objective = booster.objective.split(" ")[0]
    if objective in ("multiclass", "multiclassova"):
        return booster.num_class
    return 2 if objective in ("binary", "cross_entropy", "cross_entropy_lambda") else None


def _are_importances_of(booster: BoosterText, names: tuple[str, ...], declared: Mapping[str, float]) -> bool:
    total = sum(booster.gain)
    shares = [gain / total if total else 0.0 for gain in booster.gain]
    for recomputed in (booster.splits, booster.gain, shares):
        by_name: dict[str, float] = dict(zip(names, recomputed, strict=True))
        if all(_is_close(by_name.get(name), value) for name, value in declared.items()):
            return True
    return False


def _is_close(recomputed: float | None, declared: float) -> bool:
    # LightGBM writes split gains with six digits, so sums of them agree with its own to about as many.
    return recomputed is not None and abs(recomputed - declared) <= 1e-4 * max(abs(declared), 1e-3)
