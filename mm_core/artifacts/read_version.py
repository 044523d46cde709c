"""The files of one version directory become a `Version`: each one read, then held against the others."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from mm_core.artifacts.layouts.versions import NAMES, VersionFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.readers.evaluation_json import read_evaluation
from mm_core.artifacts.readers.importance_csv import read_importance
from mm_core.artifacts.readers.lightgbm_txt import read_booster_text
from mm_core.artifacts.readers.normalizer_json import read_normalizer
from mm_core.artifacts.readers.report import FileReport
from mm_core.artifacts.readers.version_metadata import read_version_metadata
from mm_core.artifacts.stable_file import read_stable
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.versions import BoosterText, Normalizer, Version, VersionMetadata, VersionNumber
from mm_core.errors import UnreadableArtifact

Value = TypeVar("Value")

MISSING_CODES: dict[FileRole, str] = {
    FileRole.BOOSTER_TEXT: "model-file-missing",
    FileRole.NORMALIZER: "normalizer-missing",
    FileRole.METADATA: "metadata-missing",
}
"""The files without which a version cannot predict."""

FOREIGN_ENDINGS = (".pkl", ".joblib", ".pt", ".pth", ".h5", ".keras", ".safetensors")
"""Files of other frameworks; they are never loaded."""


def read_version(root: Path, listed: VersionFiles, limits: ReadingLimits) -> Version:
    """Return what the files of one version say; whatever cannot be used is a finding, never an exception."""
    return _VersionReader(root, listed, limits).read()


class _VersionReader:
    def __init__(self, root: Path, listed: VersionFiles, limits: ReadingLimits) -> None:
        self.root = root
        self.listed = listed
        self.limits = limits
        self.by_role = {file.role: file for file in listed.files}
        self.findings: list[Finding] = []

    def read(self) -> Version:
        for role, code in MISSING_CODES.items():
            if role not in self.by_role:
                name = next(name for name, known in NAMES.items() if known is role)
                self._add(Severity.ERROR, code, name, "The file is missing.", "Copy it into the version's directory.")
        booster = self._use(FileRole.BOOSTER_TEXT, lambda data, _: read_booster_text(io.BytesIO(data)))
        metadata = self._use(FileRole.METADATA, read_version_metadata)
        names = metadata.feature_names if metadata is not None else ()
        normalizer = self._use(FileRole.NORMALIZER, lambda data, report: read_normalizer(data, report, names))
        declared = self._use(FileRole.IMPORTANCE, read_importance)
        evaluation = self._use(FileRole.EVALUATION, read_evaluation)
        importance = declared or (metadata.feature_importance if metadata is not None else {})
        self._compare_versions(metadata)
        self._compare_features(booster, normalizer, metadata)
        self._compare_importance(booster, importance)
        self._look_at_others()
        return Version(
            model_name=self.listed.model_name,
            number=self.listed.number,
            path=self.listed.path,
            files=self.listed.files,
            booster=booster,
            normalizer=normalizer,
            metadata=metadata,
            evaluation=evaluation,
            importance=importance,
            findings=tuple(self.findings),
            read_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )

    def _use(self, role: FileRole, reader: Callable[[bytes, FileReport], Value]) -> Value | None:
        file = self.by_role.get(role)
        if file is None:
            return None
        report = FileReport(file.path)
        try:
            value = reader(read_stable(self.root, file.path, self.limits.bytes_for(role)), report)
        except UnreadableArtifact as error:
            report.add(Severity.ERROR, error.code, error.detail, error.remedy, error.line)
            value = None
        self.findings += report.findings()
        return value

    def _compare_versions(self, metadata: VersionMetadata | None) -> None:
        if metadata is None or metadata.model_version is None:
            return
        written, directory = metadata.model_version, self.listed.path.rpartition("/")[2]
        if VersionNumber.parse(written) != self.listed.number:
            self._warn(
                "version-mismatch",
                "metadata.json",
                f"The metadata is of version '{written[:50]}', the directory of '{directory}'.",
                "Write the metadata of the run that made the model.",
            )
        elif written != directory:
            self._warn(
                "version-prefix",
                "metadata.json",
                f"The metadata writes '{written}', the directory is '{directory}': one version, two spellings.",
                f"Write '{self.listed.number}' in both.",
            )

    def _compare_features(
        self, booster: BoosterText | None, normalizer: Normalizer | None, metadata: VersionMetadata | None
    ) -> None:
        names = metadata.feature_names if metadata is not None else ()
        counts = dict(_counts(booster, normalizer, metadata))
        if len(set(counts.values())) > 1:
            self._add(
                Severity.ERROR,
                "normalizer-length",
                "normalizer.json",
                "The numbers of features differ: " + ", ".join(f"{n} in {what}" for what, n in counts.items()) + ".",
                "Take the files of one training run.",
            )
        elif normalizer is not None and names and normalizer.feature_names != names:
            self._add(
                Severity.ERROR,
                "normalizer-invalid",
                "normalizer.json",
                "The normalizer's features are not those of the metadata in their order.",
                "Take both files of one training run.",
            )
        if booster is None:
            return
        if all(name == f"Column_{place}" for place, name in enumerate(booster.feature_names)):
            self._warn(
                "generic-feature-names",
                "model.txt",
                "The booster was trained without names of features: nothing tells that a column is in its place.",
                "Train with a DataFrame, or with feature_name=[…].",
            )
        elif (
            normalizer is not None
            and len(set(counts.values())) == 1
            and (booster.feature_names != tuple(name.replace(" ", "_") for name in normalizer.feature_names))
        ):
            self._add(
                Severity.ERROR,
                "normalizer-invalid",
                "normalizer.json",
                "The normalizer's features are not those of the booster in their order.",
                "Take both files of one training run.",
            )
        if booster.is_degenerate:
            self._warn(
                "degenerate-booster",
                "model.txt",
                "No tree of the booster splits: it predicts the same for every row.",
                "Look at the labels and the parameters of the training.",
            )

    def _compare_importance(self, booster: BoosterText | None, declared: Mapping[str, float]) -> None:
        if booster is None or not declared:
            return
        by_splits = dict(zip(booster.feature_names, map(float, booster.splits), strict=True))
        total = sum(booster.gain)
        shares = {
            name: gain / total if total else 0.0 for name, gain in zip(booster.feature_names, booster.gain, strict=True)
        }
        by_gain = dict(zip(booster.feature_names, booster.gain, strict=True))
        for recomputed in (by_splits, by_gain, shares):
            if all(_is_close(recomputed.get(name), value) for name, value in declared.items()):
                return
        self._warn(
            "importance-mismatch",
            "feature_importance.csv" if FileRole.IMPORTANCE in self.by_role else "metadata.json",
            "The declared importances are not those of the booster, by splits, gain or share of gain: "
            "the files may be of two models.",
            "Take all files of one training run.",
        )

    def _look_at_others(self) -> None:
        others = self.listed.others
        if "model.json" in others:
            self._warn(
                "stray-model-json",
                "model.json",
                "A model.json stands beside model.txt; it is not used.",
                "Remove it, or move it to the version that it belongs to.",
            )
        foreign = [name for name in others if name.endswith(FOREIGN_ENDINGS)]
        if foreign:
            self._warn(
                "foreign-files",
                foreign[0],
                f"{len(foreign)} files of other frameworks are here; they are not loaded.",
                "Keep them elsewhere.",
            )

    def _warn(self, code: str, name: str, detail: str, remedy: str) -> None:
        self._add(Severity.WARNING, code, name, detail, remedy)

    def _add(self, severity: Severity, code: str, name: str, detail: str, remedy: str) -> None:
        self.findings.append(Finding(severity, code, f"{self.listed.path}/{name}", detail, remedy))


def _counts(
    booster: BoosterText | None, normalizer: Normalizer | None, metadata: VersionMetadata | None
) -> Iterator[tuple[str, int]]:
    if booster is not None:
        yield "model.txt", len(booster.feature_names)
    if normalizer is not None:
        yield "normalizer.json", len(normalizer.feature_names)
    if metadata is not None and metadata.num_features is not None:
        yield "metadata.json", metadata.num_features


def _is_close(recomputed: float | None, declared: float) -> bool:
    # LightGBM writes split gains with six digits, so sums of them agree with its own to about as many.
    return recomputed is not None and abs(recomputed - declared) <= 1e-4 * max(abs(declared), 1e-3)
