"""Versions as people registered them: the record, its checks, and the events that led to it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from mm_core.domain.lifecycle import Action, ModelType, Objective, Status, Tier
from mm_core.domain.versions import VersionNumber
from mm_core.errors import InvalidVersion
from mm_core.spelling import is_visible

FAMILY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
PREDICTION_HORIZON = re.compile(r"\d{1,19}[hdwmy]", re.ASCII)
LONGEST_TARGET = 255
LARGEST_SCORE = Decimal("9999.999999")
"""What DECIMAL(10,6) holds."""

SCORES = ("validation_score", "test_score")
SCORE_STEP = Decimal("0.000001")

_RUN = re.compile(r"(\d{8}_\d{6})(?:_\d{1,3})?", re.ASCII)

Value = str | float | bool | None
Choice = TypeVar("Choice", bound=StrEnum)


def version_id(text: str) -> str | None:
    """Return the one spelling of a version, ``v1.1.0`` for ``1.1.0`` too; None for what names none.

    A timestamped run is named by its time, as ``20250724_150837``, and ``_2`` behind it for a second one.
    """
    number = VersionNumber.parse(text)
    if number is not None:
        canonical = str(number)
        return canonical if len(canonical) <= 50 else None
    match = _RUN.fullmatch(text)
    if match is None:
        return None
    try:
        datetime.strptime(match[1], "%Y%m%d_%H%M%S")
    except ValueError:
        return None
    return text


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One registered version of a model family; times are ISO 8601 UTC, ``updated_at`` grows with every change.

    ``model_version`` is in the spelling of `version_id`, scores have six decimals. A ``pinned`` version is kept by
    every cleanup.
    """

    model_id: str
    model_name: str
    model_version: str
    model_type: ModelType
    objective: Objective
    target_variable: str
    prediction_horizon: str
    created_at: str
    updated_at: str
    validation_score: float | None = None
    test_score: float | None = None
    tier_requirement: Tier = Tier.PREMIUM
    status: Status = Status.TRAINING
    pinned: bool = False

    @property
    def title(self) -> str:
        """The family's name and the version, as sentences name it."""
        return f"{self.model_name} {self.model_version}"


class FieldChange(NamedTuple):
    """One field of a record before and after; before is None where there was no record."""

    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class VersionEvent:
    """What somebody did to a version: ``before`` and ``after`` are statuses, ``changes`` has every other field.

    Without a version it is about the family. ``at`` is ISO 8601 UTC, as the clock had it.
    """

    at: str
    actor: str
    action: Action
    model: str
    version: str
    before: Status | None
    after: Status | None
    note: str
    changes: Mapping[str, FieldChange] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """A model name that has versions, and the other names that stand for it."""

    name: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a registration says of a version."""

    model_name: str
    model_version: str
    model_type: ModelType
    objective: Objective
    target_variable: str
    prediction_horizon: str
    validation_score: float | None = None
    test_score: float | None = None
    tier_requirement: Tier = Tier.PREMIUM
    status: Status = Status.TRAINING


_KINDS: Mapping[str, type[StrEnum]] = {
    "model_type": ModelType,
    "objective": Objective,
    "tier_requirement": Tier,
    "status": Status,
}
REQUIRED = ("model_name", "model_version", "model_type", "objective", "target_variable", "prediction_horizon")
UPDATABLE = (*SCORES, "status")


def parse_new_version(document: Mapping[str, Any]) -> NewVersion:
    """Return what a document registers; raise `InvalidVersion` with every problem of it at once."""
    problems: list[str] = []
    known = (*REQUIRED, *SCORES, "tier_requirement", "status")
    problems += [f"'{key[:80]}' is not a known field, use {', '.join(known)}" for key in document if key not in known]
    problems += [f"{name} is missing" for name in REQUIRED if document.get(name) is None]
    texts = {name: _text(document, name, problems) for name in REQUIRED if name not in _KINDS}
    name, version = texts["model_name"], texts["model_version"]
    if name is not None and FAMILY_NAME.fullmatch(name) is None:
        problems.append(
            "model_name must be 1 to 255 letters, digits, dots, underscores or hyphens, best such as sentiment-fusion"
        )
    canonical = version_id(version) if version is not None else None
    if version is not None and canonical is None:
        problems.append(
            f"model_version {version[:80]!r} names no version, use v1.1.0 or the time of a run, 20250724_150837"
        )
    target, horizon = texts["target_variable"], texts["prediction_horizon"]
    if target is not None and not (0 < len(target.strip()) <= LONGEST_TARGET and is_visible(target)):
        problems.append(f"target_variable must be 1 to {LONGEST_TARGET} visible characters, such as price_direction_3d")
    if horizon is not None and PREDICTION_HORIZON.fullmatch(horizon) is None:
        problems.append(f"prediction_horizon {horizon[:80]!r} must be a number and one of h, d, w, m, y, such as 1w")
    chosen: dict[str, Any] = {
        name: _choice(document, name, kind, problems) for name, kind in _KINDS.items() if name in document
    }
    scores: dict[str, Any] = {name: _score(document.get(name), name, problems) for name in SCORES}
    if problems:
        raise InvalidVersion(problems)
    return NewVersion(**{**texts, "model_version": canonical, **chosen, **scores})


def parse_update(document: Mapping[str, Any]) -> dict[str, float | Status | None]:
    """Return the fields that a document changes: scores and status; raise `InvalidVersion` with every problem."""
    problems = [
        f"'{key[:80]}' cannot be updated, only {', '.join(UPDATABLE)}: register another version for the rest"
        for key in document
        if key not in UPDATABLE
    ]
    found: dict[str, float | Status | None] = {
        key: _score(document[key], key, problems) for key in SCORES if key in document
    }
    if "status" in document:
        status = _choice(document, "status", Status, problems)
        if status is not None:
            found["status"] = status
    if problems:
        raise InvalidVersion(problems)
    return found


def replayed(events: Iterable[VersionEvent]) -> dict[str, VersionRecord]:
    """Return the records that a family's events, oldest first, lead to, by version."""
    found: dict[str, VersionRecord] = {}
    for event in events:
        if not event.version:
            continue
        changed: dict[str, Any] = {
            name: _KINDS[name](str(change.after)) if name in _KINDS else change.after
            for name, change in event.changes.items()
        }
        if event.after is not None:
            changed["status"] = event.after
        known = found.get(event.version)
        if known is None:
            found[event.version] = VersionRecord(
                model_name=event.model, model_version=event.version, updated_at=event.at, **changed
            )
        else:
            found[event.version] = replace(known, updated_at=later_than(known.updated_at, event.at), **changed)
    return found


def later_than(stamp: str, now: str) -> str:
    """Return ``now``; whatever the clock does, a millisecond after ``stamp`` at least. Both are ISO 8601 UTC."""
    after = datetime.fromisoformat(stamp) + timedelta(milliseconds=1)
    return max(datetime.fromisoformat(now), after).isoformat(timespec="milliseconds")


def _text(document: Mapping[str, Any], key: str, problems: list[str]) -> str | None:
    value = document.get(key)
    if value is None or isinstance(value, str):
        return value
    problems.append(f"{key} must be text")
    return None


def _choice(document: Mapping[str, Any], key: str, kind: type[Choice], problems: list[str]) -> Choice | None:
    value = document.get(key)
    if value is None and key in REQUIRED:
        return None
    try:
        return kind(value)  # type: ignore[arg-type]  # whatever it is, it is one of them or refused
    except ValueError:
        problems.append(f"{key} is {str(value)[:80]!r}, use one of {', '.join(kind)}")
        return None


def _score(value: Any, key: str, problems: list[str]) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        problems.append(f"{key} is {str(value)[:80]!r}, not a number")
        return None
    if isinstance(value, float) and not math.isfinite(value):
        problems.append(f"{key} is {value}, not a finite number")
        return None
    if abs(value) > LARGEST_SCORE:
        problems.append(f"{key} is beyond {LARGEST_SCORE}, which is the most that it can be")
        return None
    return float(Decimal(repr(value)).quantize(SCORE_STEP, ROUND_HALF_UP))
