"""Why a version is neither given to bots, nor asked, nor deployed: the errors that its findings come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mm_core.domain.findings import Finding, Severity
from mm_core.domain.versions import ALL_FIVE, REQUIRED, UNKNOWN_SCALER, VersionNumber
from mm_core.errors import AmbiguousModel, AmbiguousVersion, CannotPredict, InvalidNormalizer
from mm_core.registry.lifecycle_lookups import SHOWN

MISSING_FILES = frozenset({"model-file-missing", "normalizer-missing", "metadata-missing"})
SHARED_MODEL = "duplicate-model-file"
SEVERAL_MODELS = "several-models"
WITHOUT_MODEL = frozenset({"no-model-for-bots", SEVERAL_MODELS})
"""Findings of runs that are whole and have no model, or not one alone, that bots could be given."""

NORMALIZER_CODES = frozenset({"normalizer-invalid", "normalizer-length", UNKNOWN_SCALER})

Refusal = CannotPredict | AmbiguousModel | InvalidNormalizer


def what_keeps(findings: Sequence[Finding], *, scaler_needed: bool) -> list[Finding]:
    """Return what keeps a version from predicting: its errors, or else what a whole run lacks.

    Bots take a run without its scaler and are told so; where ``scaler_needed``, one that cannot be read keeps it too.
    """
    errors = [one for one in findings if one.severity is Severity.ERROR]
    lacking = WITHOUT_MODEL | {UNKNOWN_SCALER} if scaler_needed else WITHOUT_MODEL
    return errors or [one for one in findings if one.code in lacking]


def refusal(title: str, directory: Path, reasons: Sequence[Finding], cannot: str, way_out: str) -> Refusal:
    """Return the error about a version that ``cannot`` do what is asked, for the reasons that `what_keeps` found.

    ``title`` is its name and version, ``way_out`` a sentence that says what to do.
    """
    sentences = [one.sentence for one in reasons] or ["It was not read whole: refresh the model."]
    if any(one.code == SEVERAL_MODELS for one in reasons):
        return AmbiguousModel(f"{title} in '{directory}' {cannot}. {sentences[0]} {way_out}", sentences)
    if reasons and all(one.code in NORMALIZER_CODES for one in reasons):
        return InvalidNormalizer(
            f"{reasons[0].detail} That is the normalizer of {title} in '{directory}'. {reasons[0].remedy} {way_out}",
            sentences,
        )
    missing = [one.file for one in reasons if one.code in MISSING_FILES]
    lost = f" Missing: {', '.join(missing)}." if missing else ""
    return CannotPredict(
        f"Failed to load model: {title} in '{directory}' {cannot}, for {len(sentences)} reason(s): "
        f"{' '.join(sentences[:SHOWN])}{lost} {way_out}",
        sentences,
        is_missing=bool(missing),
    )


def directory_gone(what: str, version: str, expected: Sequence[Path], way_out: str) -> CannotPredict:
    """Return the error about a version that no root holds, with the paths that were ``expected`` and their files.

    ``what`` is a sentence without its full stop that says so, ``way_out`` says what to do about it.
    """
    files = [ALL_FIVE[role] for role in REQUIRED] if VersionNumber.parse(version) is not None else []
    paths = [path / file for path in expected[:SHOWN] for file in files] or [*expected[:SHOWN]]
    looked_for = " or ".join(f"'{path}'" for path in expected[:SHOWN])
    where = f" Expected {looked_for}." if looked_for else " No root is registered that could hold it."
    missing = f" Missing: {', '.join(files)}." if files else ""
    problems = [f"{path} is missing." for path in paths] or [f"The directory of {version} is missing."]
    return CannotPredict(f"Failed to load model: {what}.{where}{missing} {way_out}", problems, is_missing=True)


def ambiguous_version(title: str, places: Sequence[Path], way_out: str) -> AmbiguousVersion:
    """Return the error about a version that lies in several directories; ``way_out`` says what to do about it."""
    listed = " and ".join(f"'{place}'" for place in places[:SHOWN])
    return AmbiguousVersion(
        f"{title} is in {listed}: nobody can tell which one is meant. {way_out}", [str(place) for place in places]
    )
