"""What a session keeps of its unsaved factor configs, from run to run and from page to page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from mm_core.dashboard.editor.drafts import FIELDS, Cell, Cells, Draft

_DRAFTS = "_model_manager_drafts"
_PINNED = "_model_manager_pinned"

Place = tuple[str, str]
"""Whose draft it is: model name and symbol."""


@dataclass(frozen=True, slots=True)
class PinnedGrid:
    """The rows that a grid was given under ``key``: they stay while the key lives, whatever arrives meanwhile."""

    key: str
    place: Place
    table: pd.DataFrame


def drafts() -> dict[Place, Draft]:
    """Return the session's drafts."""
    kept: dict[Place, Draft] = st.session_state.setdefault(_DRAFTS, {})
    return kept


def pinned_grid() -> PinnedGrid | None:
    """Return the rows of the grid that was drawn last."""
    pinned: PinnedGrid | None = st.session_state.get(_PINNED)
    return pinned


def pin_grid(grid: PinnedGrid) -> None:
    """Keep the rows of a grid."""
    st.session_state[_PINNED] = grid


def take_typed() -> None:
    """Take what was typed into the grid since the last run over into its draft.

    This comes first in a run: whatever looks at the draft, or moves it to a newer revision, must know of it.
    """
    grid = pinned_grid()
    draft = drafts().get(grid.place) if grid is not None else None
    if grid is not None and draft is not None:
        draft.type_into(typed_cells(grid.table, st.session_state.get(grid.key)), redraw=False)


def typed_cells(table: pd.DataFrame, state: Any) -> Cells:
    """Return the cells that a grid's state says were typed, by the rows that it was given."""
    factors = table["factor"].tolist()
    return {
        Cell(factors[row], which): str(edited[which])
        for row, edited in (state or {}).get("edited_rows", {}).items()
        for which in FIELDS
        if edited.get(which) is not None
    }
