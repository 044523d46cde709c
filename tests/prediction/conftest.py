"""Predictors that leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mm_core.prediction import PredictionLimits, Predictor, pool
from tests.prediction.training import Files

MakePredictor = Callable[..., Predictor]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A place for models."""
    return Files(tmp_path)


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    """One predictor for the tests of a module, which find its child running."""
    predictor = Predictor()
    yield predictor
    predictor.close()
    assert psutil.Process().children(recursive=True) == []


@pytest.fixture
def make_predictor(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePredictor]:
    """Make a predictor with limits of its own; with ``obedient`` its child misbehaves for certain numbers of rows."""
    made: list[Predictor] = []
    before = set(psutil.Process().children(recursive=True))

    def make(obedient: bool = False, **limits: Any) -> Predictor:
        if obedient:
            monkeypatch.setattr(pool, "CHILD_MODULE", "tests.prediction.obedient_child")
        made.append(Predictor(PredictionLimits(**limits)))
        return made[-1]

    yield make
    for predictor in made:
        predictor.close()
    assert set(psutil.Process().children(recursive=True)) <= before
