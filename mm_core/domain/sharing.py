"""Equal names, columns and numbers as one object: hundreds of groups and versions repeat themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.groups import Group
from mm_core.domain.versions import Version

Shared = dict[Any, Any]


def with_shared_values(group: Group, shared: Shared) -> Group:
    """Return an equal group whose names and columns are those of earlier groups that were given the same ``shared``."""
    numbers: Shared = {}  # a factor's tau stands in two tables
    training = group.training
    return replace(
        group,
        symbol=sys.intern(group.symbol),
        return_name=sys.intern(group.return_name),
        factors=FactorTable(_names(group.factors.names, shared), _numbers(group.factors.taus, numbers)),
        ic=IcTable(
            _names(group.ic.symbols, shared),
            _names(group.ic.factor_names, shared),
            _names(group.ic.return_names, shared),
            _numbers(group.ic.taus, numbers),
            {name: _names(column, shared) for name, column in group.ic.extra.items()},
        ),
        training=replace(
            training,
            selected_factors=_names(training.selected_factors, shared),
            feature_importance={sys.intern(name): value for name, value in training.feature_importance.items()},
        ),
    )


def version_with_shared_values(version: Version, shared: Shared) -> Version:
    """Return an equal version that has its names of features with earlier ones that were given the same ``shared``."""
    booster, normalizer, metadata = version.booster, version.normalizer, version.metadata
    return replace(
        version,
        booster=booster and replace(booster, feature_names=_names(booster.feature_names, shared)),
        normalizer=normalizer and replace(normalizer, feature_names=_names(normalizer.feature_names, shared)),
        metadata=metadata and replace(metadata, feature_names=_names(metadata.feature_names, shared)),
        importance={sys.intern(name): value for name, value in version.importance.items()},
    )


def _names(names: Iterable[str], shared: Shared) -> tuple[str, ...]:
    column = tuple(names)
    known: tuple[str, ...] | None = shared.get(column)
    if known is None:
        known = shared[column] = tuple(map(sys.intern, column))
    return known


def _numbers(values: Iterable[float | None], shared: Shared) -> tuple[float | None, ...]:
    return tuple(shared.setdefault(value, value) for value in values)
