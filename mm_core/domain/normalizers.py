"""Normalizers of versions as means and variances, and what people set over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from mm_core.domain.configs import Defaults, Normalization
from mm_core.domain.versions import Normalizer

SMALLEST_VARIANCE = 1e-24
"""Of what people set: a std below its root is none, and counts as 1."""


def defaults_of(normalizer: Normalizer) -> Defaults:
    """Return what stands for a feature that nobody set: the mean of the files, and their std squared."""
    columns = zip(normalizer.feature_names, normalizer.mean, normalizer.variance, strict=True)
    return Defaults({name: Normalization(mean, variance) for name, mean, variance in columns}, SMALLEST_VARIANCE)


def laid_over(normalizer: Normalizer, values: Mapping[str, Normalization]) -> Normalizer:
    """Return a normalizer with ``values`` for some of its features.

    A std is the root of what is set, and the very one of the files where their variance is: squared and rooted again,
    a very small or large one would come back as another number.
    """
    if not values:
        return normalizer
    mean, std = list(normalizer.mean), list(normalizer.std)
    for place, (name, variance) in enumerate(zip(normalizer.feature_names, normalizer.variance, strict=True)):
        own = values.get(name)
        if own is not None:
            mean[place] = own.mean
            if own.variance != variance:
                std[place] = math.sqrt(own.variance)
    return replace(normalizer, mean=tuple(mean), std=tuple(std))


def overridden_features(normalizer: Normalizer, values: Mapping[str, Normalization]) -> tuple[str, ...]:
    """Return the features of which ``values`` say something else than the files, in the normalizer's order."""
    defaults = defaults_of(normalizer)
    return tuple(name for name in normalizer.feature_names if values.get(name, defaults.of(name)) != defaults.of(name))


def moved_to(values: Mapping[str, Normalization], before: Normalizer, after: Normalizer) -> dict[str, Normalization]:
    """Return what was set over ``before`` as it stands over ``after``: a number that nobody changed follows the files.

    Features that ``after`` does not have keep theirs.
    """
    old, new = defaults_of(before).by_name, defaults_of(after).by_name
    moved = {}
    for name, value in values.items():
        theirs, now = old.get(name), new.get(name)
        if theirs is not None and now is not None:
            value = Normalization(
                now.mean if value.mean == theirs.mean else value.mean,
                now.variance if value.variance == theirs.variance else value.variance,
            )
        if value != now:
            moved[name] = value
    return moved
