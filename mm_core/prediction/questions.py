"""What the predictor asks its child processes, and what they answer: documents beside the raw numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mm_core.domain.predictions import ModelFormat
from mm_core.domain.versions import Normalizer


@dataclass(frozen=True, slots=True)
class Question:
    """A model by its file, of which ``path`` has the bytes as Latin-1, and what to predict with it.

    The numbers come beside it: float64, row by row, in the order of the booster's columns. Without ``rows`` the answer
    is what the booster is. ``most_bytes`` and ``models_kept`` bound what the child reads and remembers.
    """

    path: str
    sha256: str
    model_format: ModelFormat
    most_bytes: int
    models_kept: int
    rows: int = 0
    normalizer: Normalizer | None = None
    from_margins: bool = False


class Trouble(StrEnum):
    """Why there is no answer."""

    FILE = "file"
    DIGEST = "digest"
    MODEL = "model"
    ROWS = "rows"
    MEMORY = "memory"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BoosterFacts:
    """What a booster is: the names it was trained with, ``Column_0`` or ``f0`` … without any, and its outputs a row."""

    feature_names: tuple[str, ...]
    objective: str
    outputs: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What the booster is, where that was asked; or the trouble and a sentence.

    Predictions come beside it: float64, row by row.
    """

    facts: BoosterFacts | None = None
    trouble: Trouble | None = None
    reason: str = ""
