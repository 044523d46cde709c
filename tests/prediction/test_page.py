"""docs/prediction.md against the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_core.prediction import PredictionLimits
from mm_core.prediction.outcomes import _DIRECTIONS, _LIGHTGBM, _XGBOOST, _XGBOOST_FAMILIES

PAGE = (Path(__file__).parent.parent.parent / "docs" / "prediction.md").read_text(encoding="utf-8")
UNWRITTEN = {"", "custom", "none"}
"""How LightGBM calls a function of the trainer's; the page says so in words."""


@pytest.mark.parametrize("objective", sorted({*_LIGHTGBM, *_XGBOOST} - UNWRITTEN))
def test_every_objective_has_its_row(objective: str) -> None:
    assert f"`{objective}`" in PAGE


@pytest.mark.parametrize("family", sorted({*_XGBOOST_FAMILIES}))
def test_every_family_of_objectives_has_its_row(family: str) -> None:
    assert f"`{family}:…`" in PAGE


def test_every_name_of_a_direction_is_told() -> None:
    assert [name for name in _DIRECTIONS if name not in PAGE] == []


def test_the_bounds_are_those_of_the_program() -> None:
    limits = PredictionLimits()
    assert f"| {limits.seconds:g} | the child is killed" in PAGE
    assert f"| {limits.memory_bytes >> 30} GiB | 502 |" in PAGE
    assert f"| {limits.model_bytes >> 20} MiB | 409 |" in PAGE
    assert f"| {limits.rows:,}; {limits.cells:,} | 413 |" in PAGE
    assert f"| {limits.models_kept}, and 256 MiB of files |" in PAGE
    assert f"| {limits.waiting}, for at most {limits.seconds:g} s | 503 |" in PAGE
    assert limits.idle_seconds == 300
    assert "none for five minutes" in PAGE
    assert f"niceness of {limits.niceness}" in PAGE
