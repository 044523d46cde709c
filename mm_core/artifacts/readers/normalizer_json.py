"""``normalizer.json``: mean and standard deviation by feature, in any of the forms that trainers write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from mm_core.artifacts.readers.lenient_json import finite_or_none, read_object
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.versions import SMALLEST_STD, Normalizer, VersionMetadata
from mm_core.errors import UnreadableArtifact

ACCEPTED = (
    '{"feature": {"mean": 0.0, "std": 1.0}}, or lists: mean or means, std, stds or scale, and feature_names or features'
)
DECLARED = "normalizationParams"
"""The field of the metadata that repeats the normalizer."""

_REMEDY = "Write {feature: {mean, std}} with a finite mean and std for each feature of the model."
_MEANS, _STDS, _NAMES = ("mean", "means"), ("std", "stds", "scale"), ("feature_names", "features")


def read_normalizer(data: bytes, report: FileReport, metadata_names: Sequence[str]) -> Normalizer:
    """Return the normalizer in ``data``; ``metadata_names`` are the features where the file itself has no names.

    Every form but ``{feature: {mean, std}}`` is a finding, and so is a std that is smaller than rounding. Raises
    `UnreadableArtifact` where a feature has no pair of finite numbers, or where names and numbers differ in count.
    """
    normalizer = _any_form(read_object(data, report), report, metadata_names)
    tiny = [name for name, std in zip(normalizer.feature_names, normalizer.std, strict=True) if 0 < std < SMALLEST_STD]
    if tiny:
        report.warn(
            "tiny-std",
            f"{len(tiny)} features have a std below {SMALLEST_STD}, such as '{tiny[0][:60]}'; 1 is used for it.",
            "Leave features out that never change, or write std 0.",
        )
    return normalizer


def declared_normalizer(metadata: VersionMetadata) -> Normalizer | None:
    """Return the normalizer that some trainers write into the metadata as well; None where there is none to be read."""
    document = metadata.extra.get(DECLARED)
    if not isinstance(document, dict):
        return None
    try:
        return _any_form(document, FileReport(DECLARED), metadata.feature_names)
    except UnreadableArtifact:
        return None


def _any_form(document: Mapping[str, Any], report: FileReport, metadata_names: Sequence[str]) -> Normalizer:
    return _from_lists(document, report, metadata_names) or _from_features(document, report)


def _from_lists(document: Mapping[str, Any], report: FileReport, metadata_names: Sequence[str]) -> Normalizer | None:
    means, stds = _only_list(document, _MEANS), _only_list(document, _STDS)
    if means is None or stds is None:
        return None
    names = _only_list(document, _NAMES)
    if names is None:
        if not metadata_names:
            _refuse("normalizer-length", "The file has lists without names, and the metadata has no feature names.")
        report.warn(
            "normalizer-no-names",
            "The file has lists without names; the order of the metadata's feature names is taken.",
            "Write {feature: {mean, std}}: a list in another order gives wrong predictions without a sign of it.",
        )
        names = list(metadata_names)
    else:
        _report_form(report, "lists")
    fills = _only_list(document, ("fill_values",))
    if not len(names) == len(means) == len(stds) == (len(names) if fills is None else len(fills)):
        _refuse(
            "normalizer-length",
            f"The file has {len(names)} names, {len(means)} means, {len(stds)} stds"
            + ("." if fills is None else f" and {len(fills)} fill values."),
        )
    texts = [_name(name) for name in names]
    return _normalizer(
        texts,
        [_number(mean, name) for mean, name in zip(means, texts, strict=True)],
        [_number(std, name) for std, name in zip(stds, texts, strict=True)],
        None if fills is None else [_number(fill, name) for fill, name in zip(fills, texts, strict=True)],
    )


def _from_features(document: Mapping[str, Any], report: FileReport) -> Normalizer:
    entries = document
    std_name = "std"
    if set(document) == {"params"} and isinstance(document["params"], dict):
        entries, std_name = document["params"], "stdDev"
        _report_form(report, "params")
    means, stds = [], []
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            _refuse_feature(name, entry)
        means.append(_number(entry.get("mean"), name, entry))
        stds.append(_number(entry.get(std_name, entry.get("std")), name, entry))
    if not means:
        _refuse("normalizer-invalid", "The file names no feature.")
    return _normalizer(list(entries), means, stds, None)


def _normalizer(
    names: Sequence[str], means: Sequence[float], stds: Sequence[float], fills: Sequence[float] | None
) -> Normalizer:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        _refuse("normalizer-invalid", f"Feature '{twice[:60]}' stands twice.")
    for name, std in zip(names, stds, strict=True):
        if std < 0:
            _refuse("normalizer-invalid", f"Feature '{name[:60]}' has the std {std}, which is below 0.")
    return Normalizer(tuple(names), tuple(means), tuple(stds), None if fills is None else tuple(fills))


def _only_list(document: Mapping[str, Any], names: Sequence[str]) -> list[Any] | None:
    """Return the list that stands under one of some names; refuse two that differ, as nobody knows which is meant."""
    found = [name for name in names if isinstance(document.get(name), list)]
    for other in found[1:]:
        if document[other] != document[found[0]]:
            _refuse("normalizer-invalid", f"The file has '{found[0]}' and '{other}', which differ.")
    return document[found[0]] if found else None


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse("normalizer-invalid", f"{str(value)[:60]!r} is no name of a feature.")
    return value


def _number(value: object, name: str, entry: object = None) -> float:
    number = finite_or_none(value)
    if number is None:
        _refuse_feature(name, value if entry is None else entry)
    return number


def _report_form(report: FileReport, form: str) -> None:
    report.warn(
        "normalizer-format",
        f"The file has the form '{form}', not the one of the guide; it is read all the same.",
        "Write {feature: {mean, std}}.",
    )


def _refuse_feature(name: str, entry: object) -> NoReturn:
    _refuse(
        "normalizer-invalid",
        f"Invalid normalizer format for feature '{name[:60]}'. Detected: {str(entry)[:80]}. Accepted are {ACCEPTED}.",
    )


def _refuse(code: str, detail: str) -> NoReturn:
    raise UnreadableArtifact(code, detail, _REMEDY)
