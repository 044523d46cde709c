"""What a booster's own words say of how it has to be used, in groups and runs alike."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.artifacts.readers.model_json import CheckedBooster
from mm_core.domain.findings import Finding, Severity


def stopped_early(path: str, booster: CheckedBooster) -> list[Finding]:
    """Return a finding for a training that stopped early: its wrapper predicts with fewer rounds than its booster."""
    best = booster.best_rounds
    if best is None:
        return []
    detail = (
        f"The training stopped early: XGBClassifier and its kin predict with the first {best} of {booster.rounds} "
        "rounds, Booster.predict and this registry with all."
    )
    remedy = f"Save booster[:{best}] to have the first ones alone, or predict with iteration_range=(0, {best})."
    return [Finding(Severity.WARNING, "stopped-early", path, detail, remedy)]


def is_numbered(names: Sequence[str], prefix: str = "f") -> bool:
    """Return whether features are called by their places, ``f0``, ``f1`` …, as XGBoost calls those without names."""
    return all(name == f"{prefix}{place}" for place, name in enumerate(names))


def first_difference(first: Sequence[str], second: Sequence[str]) -> int | None:
    """Return the first place at which equally many names are not the same, None where all are."""
    return next((place for place, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1]), None)
