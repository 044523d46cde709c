"""Two groups, or all groups of two scans, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from mm_core.domain.groups import Group, Scan, preferred_group
from mm_core.evaluation.boosters import flat
from mm_core.evaluation.ic import kendall_agreement, known_taus, valid_tau
from mm_core.evaluation.importance import Importance


class Change(StrEnum):
    """What became of a factor or a group from the left side to the right."""

    GAINED = "gained"
    LOST = "lost"
    MOVED = "moved"
    KEPT = "kept"


class Side(NamedTuple):
    """One side of a comparison."""

    group: Group
    importance: Importance | None


@dataclass(frozen=True, slots=True)
class FactorShift:
    """One factor on both sides; None where a side does not have it, or does not know.

    ``has_one_source`` is False where one share of gain is of a booster and the other of a training info.
    """

    factor: str
    change: Change
    dim_left: int | None
    dim_right: int | None
    tau_left: float | None
    tau_right: float | None
    share_left: float | None
    share_right: float | None
    has_one_source: bool = True

    @property
    def tau_change(self) -> float | None:
        """Right tau minus left tau; None where one of them can be no correlation."""
        return _difference(valid_tau(self.tau_left), valid_tau(self.tau_right))

    @property
    def share_change(self) -> float | None:
        """Right share of gain minus left share; None where they come from two sources."""
        return _difference(self.share_left, self.share_right) if self.has_one_source else None


class ParameterPair(NamedTuple):
    """One parameter on both sides, None where a side does not have it."""

    name: str
    left: str | None
    right: str | None


def factor_shifts(left: Side, right: Side) -> tuple[FactorShift, ...]:
    """Return every factor of either side: those of the left in its order, then those that the right gained."""
    one, two = _factors(left), _factors(right)
    sources = {side.importance.source for side in (left, right) if side.importance is not None}
    found = []
    for name in dict.fromkeys([*one, *two]):
        dim_left, tau_left, share_left = one.get(name, (None, None, None))
        dim_right, tau_right, share_right = two.get(name, (None, None, None))
        if dim_left is None or dim_right is None:
            change = Change.GAINED if dim_left is None else Change.LOST
        else:
            change = Change.KEPT if dim_left == dim_right else Change.MOVED
        dims, taus, shares = (dim_left, dim_right), (tau_left, tau_right), (share_left, share_right)
        found.append(FactorShift(name, change, *dims, *taus, *shares, len(sources) < 2))
    return tuple(found)


def jaccard(left: Sequence[str], right: Sequence[str]) -> float | None:
    """Return the share of all names that both sides have, None where neither has any."""
    union = set(left) | set(right)
    return len(set(left) & set(right)) / len(union) if union else None


def parameter_pairs(left: Mapping[str, str], right: Mapping[str, str]) -> tuple[ParameterPair, ...]:
    """Return the parameters of both sides by name."""
    return tuple(ParameterPair(name, left.get(name), right.get(name)) for name in sorted({*left, *right}))


def group_parameters(group: Group) -> dict[str, str]:
    """Return what a group says of its training and its model, as text by dotted name."""
    training, model = group.training, group.model
    facts = {
        "training.start": training.start_date,
        "training.end": training.end_date,
        "training.samples": training.samples,
        "training.seconds": training.seconds,
        "factors.original": training.original_factors_count,
        "factors.after_ic_filter": training.ic_filtered_count,
        "factors.final": training.final_factors_count,
        "model.objective": model.objective if model else None,
        "model.trees": model.num_trees if model else None,
        "model.parallel_trees": model.num_parallel_tree if model else None,
        "model.feature_dim": group.feature_dim,
        "model.xgboost": ".".join(map(str, model.version)) if model else None,
    }
    found = {name: str(value) for name, value in facts.items() if value is not None}
    return found | flat(training.config, "config")


@dataclass(frozen=True, slots=True)
class GroupShift:
    """One symbol in two scans; counts are 0 and figures None where only one side has it.

    ``mean_tau_change`` is the mean absolute change of the common factors' taus, of those that can be one.
    """

    symbol: str
    change: Change
    files_changed: bool
    gained: int
    lost: int
    moved: int
    mean_tau_change: float | None
    kendall: float | None


def group_shifts(left: Scan, right: Scan) -> tuple[GroupShift, ...]:
    """Return every symbol of either scan in lexical order, matched without case.

    Of several groups of one symbol the one that stands for it counts.
    ``files_changed`` compares size and time of each role's file; a group that moved to another directory with its
    files as they were did not change.
    """
    one, two = _by_symbol(left), _by_symbol(right)
    return tuple(_group_shift(one.get(key), two.get(key)) for key in sorted({*one, *two}))


def _group_shift(left: Group | None, right: Group | None) -> GroupShift:
    if left is None or right is None:
        present = left or right
        assert present is not None, "a symbol comes from one of the sides"
        change = Change.GAINED if left is None else Change.LOST
        return GroupShift(present.symbol, change, True, 0, 0, 0, None, None)
    if left is right:
        return _unchanged(right)
    before = {name: dim for dim, name in enumerate(left.factors.names)}
    after = {name: dim for dim, name in enumerate(right.factors.names)}
    taus = known_taus(dict(zip(left.factors.names, left.factors.taus, strict=True)))
    taus_after = known_taus(dict(zip(right.factors.names, right.factors.taus, strict=True)))
    changes = [taus_after[name] - taus[name] for name in taus.keys() & taus_after.keys()]
    return GroupShift(
        right.symbol,
        Change.KEPT,
        {(file.role, file.size_bytes, file.modified_ns) for file in left.files}
        != {(file.role, file.size_bytes, file.modified_ns) for file in right.files},
        len(after.keys() - before.keys()),
        len(before.keys() - after.keys()),
        sum(before[name] != after[name] for name in before.keys() & after.keys()),
        float(np.mean(np.abs(changes))) if changes else None,
        kendall_agreement(taus, taus_after),
    )


def _by_symbol(scan: Scan) -> dict[str, Group]:
    found: dict[str, list[Group]] = {}
    for group in scan.groups.values():
        found.setdefault(group.symbol.casefold(), []).append(group)
    return {symbol: preferred_group(groups) for symbol, groups in found.items()}


def _unchanged(group: Group) -> GroupShift:
    """Say of a group that both scans share, without counting, what a comparison with itself would."""
    known = [tau for tau in group.factors.taus if valid_tau(tau) is not None]
    ranked = len(known) > 2 and len(set(known)) > 1
    return GroupShift(group.symbol, Change.KEPT, False, 0, 0, 0, 0.0 if known else None, 1.0 if ranked else None)


def _factors(side: Side) -> dict[str, tuple[int, float | None, float | None]]:
    table = side.group.factors
    shares = side.importance.share.tolist() if side.importance is not None else [None] * len(table)
    return {
        name: (dim, tau, share)
        for dim, (name, tau, share) in enumerate(zip(table.names, table.taus, shares, strict=True))
    }


def _difference(left: float | None, right: float | None) -> float | None:
    return right - left if left is not None and right is not None else None
