"""``model-registry.json``: what some trainers keep beside a model's versions, one file a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mm_core.artifacts.readers.lenient_json import finite_or_none, read_object
from mm_core.artifacts.readers.report import FileReport
from mm_core.domain.version_records import version_id
from mm_core.errors import UnreadableArtifact

REMEDY = "Correct the file, or register the versions one by one."

VALIDATION_SCORES = ("validation_accuracy", "val_accuracy", "accuracy")
TEST_SCORES = ("test_accuracy",)


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """What the file says of one version; ``registered_at`` is ISO 8601 UTC.

    ``algorithm`` is in lower case, the entry's ``model_type`` where it names none.
    """

    version: str
    algorithm: str | None
    registered_at: str | None
    validation_score: float | None
    test_score: float | None


@dataclass(frozen=True, slots=True)
class RegistryFile:
    """A model's versions in the order of the file; ``active`` is the one that the whole file agrees on."""

    entries: tuple[RegistryEntry, ...]
    active: str | None


def read_model_registry(data: bytes, report: FileReport) -> RegistryFile:
    """Return what the file registers; entries that name no version, and what disagrees, are findings.

    Raises `UnreadableArtifact` for what is no such file.
    """
    document = read_object(data, report)
    models = document.get("models")
    if not isinstance(models, list):
        raise UnreadableArtifact("bad-registry", "The file has no list of models.", REMEDY)
    entries: dict[str, RegistryEntry] = {}
    flagged: dict[str, bool] = {}
    doubtful: set[str] = set()
    for number, entry in enumerate(models, 1):
        version = _version(entry.get("model_version")) if isinstance(entry, dict) else None
        if version is None:
            report.warn("registry-entry", f"Entry {number} names no version and is left out.", REMEDY)
            continue
        if version in entries:
            report.warn("registry-entry", f"{version} stands twice; the later entry counts.", "Keep one of them.")
        entries[version] = _entry(version, entry)
        is_active, says_active = entry.get("is_active") is True, entry.get("deployment_status") == "active"
        if is_active is not says_active:
            doubtful.add(version)
            report.warn(
                "registry-inconsistent",
                f"{version} has is_active {str(is_active).lower()} and deployment_status "
                f"'{str(entry.get('deployment_status'))[:50]}'.",
                "Deploy the version that is in use.",
            )
        flagged[version] = is_active
    active = _agreed(document.get("active_model"), flagged, report)
    return RegistryFile(tuple(entries.values()), active if active not in doubtful else None)


def _agreed(told: Any, flagged: Mapping[str, bool], report: FileReport) -> str | None:
    """Return the version that both ``active_model`` and the flags of the entries name."""
    named = _version(told)
    active = [version for version, is_active in flagged.items() if is_active]
    if named is not None and active == [named]:
        return named
    if told is not None or active:
        report.warn(
            "registry-inconsistent",
            f"active_model is '{str(told)[:50]}', is_active is set for {', '.join(active) or 'none'}: "
            "which version is in use is not known.",
            "Deploy the version that is in use.",
        )
    return None


def _entry(version: str, entry: Mapping[str, Any]) -> RegistryEntry:
    performance = entry.get("performance")
    scores = performance if isinstance(performance, dict) else {}
    algorithms = (entry.get(name) for name in ("algorithm", "model_type"))
    return RegistryEntry(
        version,
        next((algorithm.lower() for algorithm in algorithms if isinstance(algorithm, str)), None),
        _utc(entry.get("registered_at")),
        _first(scores, VALIDATION_SCORES),
        _first(scores, TEST_SCORES),
    )


def _first(scores: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    found = (finite_or_none(scores.get(name)) for name in names)
    return next((score for score in found if score is not None), None)


def _version(value: Any) -> str | None:
    return version_id(value) if isinstance(value, str) else None


def _utc(value: Any) -> str | None:
    """Return a time as ISO 8601 UTC; one without an offset is taken for UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.isoformat(timespec="milliseconds")
