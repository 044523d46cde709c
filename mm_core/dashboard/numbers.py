"""Numbers that cost something, kept by what they were made from: scan ids and content digests, never by time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import streamlit as st

from mm_core.dashboard.tables.models import ageless_groups_table, with_ages
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel
from mm_core.errors import AskAgain, BoosterNotUnderstood, PayloadUnavailable
from mm_core.evaluation import ic
from mm_core.evaluation.boosters import BoosterStatistics, booster_statistics
from mm_core.evaluation.comparison import GroupShift, group_shifts
from mm_core.evaluation.families import family_of
from mm_core.registry import Registry

LARGEST_BOOSTER_BYTES = 128 << 20
"""A larger booster is served, but not drawn: its trees would cost this process gigabytes."""

ScanKeys = tuple[tuple[str, str | None], ...]


def scan_keys(models: Sequence[tuple[RegisteredModel, Scan]]) -> ScanKeys:
    """Return what names the content of these scans."""
    return tuple((model.name, model.scan_id) for model, _ in models)


def matrix_of(models: Sequence[tuple[RegisteredModel, Scan]]) -> ic.IcMatrix:
    """Return the IC matrix of all groups of these models."""
    return _matrix(scan_keys(models), models)


@st.cache_data(max_entries=4, show_spinner="Laying the IC tables side by side …")
def _matrix(keys: ScanKeys, _models: Sequence[tuple[RegisteredModel, Scan]]) -> ic.IcMatrix:
    return ic.ic_matrix([(model.name, group) for model, scan in _models for group in scan.groups.values()])


@st.cache_data(max_entries=16, show_spinner="Grouping factors that behave alike …")
def ordered(
    keys: ScanKeys, family: str, least: float, rows_by: str, columns_by: str, _matrix: ic.IcMatrix
) -> tuple[ic.Indices, ic.Indices]:
    """Return rows and columns of a matrix in the order asked for: ``clustered``, ``mean τ`` or ``name``.

    Rows are those of ``family`` (empty: all) of which some group has an absolute tau of ``least`` or more.
    """
    with_tau = np.nan_to_num(np.abs(_matrix.taus)).max(axis=1, initial=0.0) >= least
    chosen = [family in ("", family_of(name)) for name in _matrix.factors]
    rows = np.flatnonzero(with_tau & np.array(chosen, bool))
    part = _matrix.taus[rows]
    labels = [group.symbol for group in _matrix.groups]
    return rows[_order(part, [_matrix.factors[row] for row in rows], rows_by)], _order(part.T, labels, columns_by)


def _order(values: ic.FloatArray, names: Sequence[str], by: str) -> ic.Indices:
    if by == "clustered":
        return ic.clustered_order(values)
    if by == "mean τ":
        return ic.mean_order(values)
    return np.array(sorted(range(len(names)), key=lambda at: names[at]), np.intp)


def groups_of(model: RegisteredModel, scan: Scan, now: datetime) -> pd.DataFrame:
    """Return the table of a scan's groups with their ages at ``now``."""
    return with_ages(_groups(((model.name, model.scan_id),), list(scan.groups.values())), now)


@st.cache_data(max_entries=4, show_spinner="Reading the groups …")
def _groups(keys: ScanKeys, _groups: list[Group]) -> pd.DataFrame:
    return ageless_groups_table(_groups)


def shifts_between(left: tuple[str, str | None, Scan], right: tuple[str, str | None, Scan]) -> tuple[GroupShift, ...]:
    """Return every symbol of either of two scans, each given with its model's name and its scan id."""
    return _shifts(left[:2], right[:2], left[2], right[2])


@st.cache_data(max_entries=8, show_spinner="Comparing the groups …")
def _shifts(
    left: tuple[str, str | None], right: tuple[str, str | None], _left: Scan, _right: Scan
) -> tuple[GroupShift, ...]:
    return group_shifts(_left, _right)


def booster_of(registry: Registry, model_name: str, group: Group) -> tuple[BoosterStatistics | None, str]:
    """Return the figures of a group's booster, or None with the reason why there are none."""
    model = group.model
    if model is None:
        return None, "There is no model to look into; the findings say why."
    if model.size_bytes > LARGEST_BOOSTER_BYTES:
        return None, f"The model has {model.size_bytes:,} bytes; above {LARGEST_BOOSTER_BYTES:,} it is not drawn here."
    try:
        return _booster(model.sha256, registry, model_name, group), ""
    except (AskAgain, BoosterNotUnderstood, PayloadUnavailable) as error:
        return None, error.detail


@st.cache_data(max_entries=32, show_spinner="Reading the trees …")
def _booster(sha256: str, _registry: Registry, _name: str, _group: Group) -> BoosterStatistics:
    return booster_statistics(_registry.payloads.model_json(_name, _group))
