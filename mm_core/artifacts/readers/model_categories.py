"""The categories that a booster was trained on, as XGBoost 3.1 and later keep them beside its trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

from mm_core.artifacts.readers.model_refusals import unsound
from mm_core.strict_json import MISSING, Missing

NUMBER_TYPES = range(7, 16)
"""How XGBoost numbers the types of its arrays: two of floats, eight of whole numbers."""


@dataclass(slots=True)
class Encoding:
    """The categories of one feature: numbers of ``type``, or text as bytes in ``values`` that ``offsets`` divide."""

    values: list[int | float]
    offsets: list[int] | Missing = MISSING
    type: int | Missing = MISSING


@dataclass(slots=True)
class Categories:
    """``cats``: an encoding a feature; ``feature_segments`` divides ``sorted_idx``, the order of its categories."""

    enc: list[Encoding]
    feature_segments: list[int]
    sorted_idx: list[int]


def check_categories(categories: Categories, features: int) -> None:
    """Raise `UnreadableArtifact` where a place in ``categories`` lies outside of what there is."""
    segments, order = categories.feature_segments, categories.sorted_idx
    if not segments:
        if categories.enc or order:
            _refuse("they belong to no feature")
        return
    if len(categories.enc) != features or not divides(segments, features, len(order)):
        _refuse(f"they are divided otherwise than into the model's {features} features")
    for feature, (encoding, (begin, end)) in enumerate(zip(categories.enc, pairwise(segments), strict=True)):
        size = end - begin
        values, offsets = len(encoding.values), encoding.offsets
        if offsets is not MISSING:
            sound = divides(offsets or [0], size, values) and set(map(type, encoding.values)) <= {int}
        else:
            sound = values == size and encoding.type in NUMBER_TYPES
        if not sound or sorted(order[begin:end]) != list(range(size)):
            _refuse(f"those of feature {feature} do not fit each other")


def divides(places: Sequence[int], parts: int, length: int) -> bool:
    """Return whether ``places`` divide ``length`` things into so many parts, one after the other."""
    return (
        len(places) == parts + 1 > 0
        and places[0] == 0
        and places[-1] == length
        and all(begin <= end for begin, end in pairwise(places))
    )


def _refuse(what: str) -> NoReturn:
    raise unsound(f"The model's categories are not sound: {what}.")
