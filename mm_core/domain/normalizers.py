"""Normalizers of versions as means and variances, and what people set over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from mm_core.domain.configs import Defaults, FactorConfigRecord, FromFiles, Normalization
from mm_core.domain.versions import Normalizer

SMALLEST_VARIANCE = 1e-24
"""Of what people set: a std below its root is none, and counts as 1."""

_SET = FromFiles(False, False)


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


def from_files_in(
    values: Mapping[str, Normalization], said: Defaults, before: FactorConfigRecord | None = None
) -> dict[str, FromFiles]:
    """Return which numbers of ``values`` nobody set, where files say ``said``: those that are the same there.

    A number that is as it was in ``before`` was set or not as it was noted then, whatever the files say now.
    """
    noted = before.from_files if before is not None else None
    found = {}
    for name, value in values.items():
        theirs = said.by_name.get(name)
        now = _SET if theirs is None else FromFiles(value.mean == theirs.mean, value.variance == theirs.variance)
        if before is not None and noted is not None and name in before.values:
            old, then = before.values[name], noted.get(name, _SET)
            now = FromFiles(
                then.mean if value.mean == old.mean else now.mean,
                then.variance if value.variance == old.variance else now.variance,
            )
        if any(now):
            found[name] = now
    return found


def over(record: FactorConfigRecord, said: Defaults) -> FactorConfigRecord:
    """Return a record as it stands where files say ``said``: each number that nobody set is theirs.

    Features that they do not have keep what they had.
    """
    if not record.from_files:
        return record
    values = {}
    for name, value in record.values.items():
        untouched, theirs = record.from_files.get(name, _SET), said.by_name.get(name, value)
        values[name] = Normalization(
            theirs.mean if untouched.mean else value.mean,
            theirs.variance if untouched.variance else value.variance,
        )
    return replace(record, values=values)


def without_what_files_say(record: FactorConfigRecord, said: Defaults) -> FactorConfigRecord:
    """Return a record without the features of which it says what the files say: nothing is set for these."""
    values = {name: value for name, value in record.values.items() if value != said.by_name.get(name)}
    if record.from_files is None:
        return replace(record, values=values)
    from_files = {name: untouched for name, untouched in record.from_files.items() if name in values}
    return replace(record, values=values, from_files=from_files)
