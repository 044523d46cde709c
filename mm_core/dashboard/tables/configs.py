"""Factor configs, their drafts and their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mm_core.dashboard.editor.drafts import Cell, CellDiff, CellProblem, Conflict, Draft
from mm_core.domain.configs import FactorConfig, FactorConfigRevision, Normalization

EVERY_DIGIT = "%.17g"
"""How columns of means, variances and stds are written: a number as short as it can be told from its neighbours.

They stay numbers, which sort and are exported as such. The format "plain" ends after 20 decimals, and shows 1e-22 as 0.
"""

MOST_CHANGES = 5
"""Factors that a line of history names one by one."""


def editor_table(
    draft: Draft, taus: Mapping[str, float | None], shares: Mapping[str, float], names: Sequence[str]
) -> pd.DataFrame:
    """Return the grid of ``names`` in dimension order: what is saved as numbers, what is edited as text.

    Text, as the grid's own number columns drop digits and exponents while somebody types. Where files say what nobody
    set, it stands beside that.
    """
    dims = {name: dim for dim, name in enumerate(draft.base.factor_names)}
    files = draft.base.defaults
    at = [dims[name] for name in names]
    table: dict[str, Any] = {
        "dim": at,
        "factor": list(names),
        **({} if files.are_in_files else {"Kendall τ": np.array([taus.get(name) for name in names], float)}),
        "gain share": np.array([shares.get(name) for name in names], float),
        "saved mean": [draft.base.mean_values[dim] for dim in at],
        "mean": [draft.text(Cell(name, "mean")) for name in names],
        "saved variance": [draft.base.variance_values[dim] for dim in at],
        "variance": [draft.text(Cell(name, "variance")) for name in names],
    }
    if files.are_in_files:
        table["mean in files"] = [files.of(name).mean for name in names]
        table["variance in files"] = [files.of(name).variance for name in names]
    return pd.DataFrame(table)


def problems_table(problems: Sequence[CellProblem]) -> pd.DataFrame:
    """Return one row a cell that cannot be saved."""
    rows = [(one.dim, one.cell.factor, one.cell.field, one.why) for one in problems]
    return pd.DataFrame(rows, columns=["dim", "factor", "field", "what is wrong"])


def diff_table(diff: Sequence[CellDiff]) -> pd.DataFrame:
    """Return one row a number that saving would change, with every digit."""
    rows = [(one.dim, one.cell.factor, one.cell.field, repr(one.old), repr(one.new), one.new - one.old) for one in diff]
    return pd.DataFrame(rows, columns=["dim", "factor", "field", "saved", "new", "change"])


def conflicts_table(conflicts: Sequence[Conflict]) -> pd.DataFrame:
    """Return one row a number that is another one by now, with mine beside theirs.

    A side without the factor is None.
    """
    rows = [
        (
            *one.cell,
            *(repr(side) if side is not None else None for side in (one.before, one.theirs)),
            one.mine if one.mine is not None else "",
        )
        for one in conflicts
    ]
    return pd.DataFrame(rows, columns=["factor", "field", "when you began", "saved now", "yours"])


def config_changes_table(before: FactorConfig, after: FactorConfig) -> pd.DataFrame:
    """Return one row a number that differs between two configs of the same factors."""
    rows = [
        (dim, name, field, repr(old[at]), repr(new[at]))
        for dim, (name, old, new) in enumerate(
            zip(after.factor_names, before.normalizations().values(), after.normalizations().values(), strict=True)
        )
        for at, field in enumerate(("mean", "variance"))
        if old[at] != new[at]
    ]
    return pd.DataFrame(rows, columns=["dim", "factor", "field", "then", "now"])


def history_table(history: Sequence[FactorConfigRevision]) -> pd.DataFrame:
    """Return one row a revision, the newest first."""
    rows = [
        {
            "revision": revision.number,
            "at": pd.Timestamp(revision.at),
            "by": revision.by,
            "action": revision.action,
            "what": _what(revision),
            "note": revision.note,
        }
        for revision in reversed(history)
    ]
    return pd.DataFrame(rows, columns=["revision", "at", "by", "action", "what", "note"])


def _what(revision: FactorConfigRevision) -> str:
    parts = [
        f"{name}: {_values(change.before)} → {_values(change.after)}"
        for name, change in list(revision.changes.items())[:MOST_CHANGES]
    ]
    if len(revision.changes) > MOST_CHANGES:
        parts.append(f"{len(revision.changes) - MOST_CHANGES} more factors")
    parts += [f"new: {', '.join(revision.added)}"] if revision.added else []
    parts += [f"gone: {', '.join(revision.dropped)}"] if revision.dropped else []
    return "; ".join(parts) or "defaults"


def _values(normalization: Normalization | None) -> str:
    return "default" if normalization is None else f"{normalization.mean!r}, {normalization.variance!r}"
