"""The grid of the editor."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from mm_core.dashboard.editor.begin import Editing
from mm_core.dashboard.editor.drafts import FIELDS
from mm_core.dashboard.editor.kept import PinnedGrid, pin_grid, pinned_grid
from mm_core.dashboard.show import TAU, offer_exports, rows_height
from mm_core.dashboard.tables.configs import EVERY_DIGIT, editor_table

NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
"""What a cell accepts while somebody types: a number with point and exponent. Its meaning is checked after that."""


def table_of(editing: Editing, names: Sequence[str]) -> pd.DataFrame:
    """Return the grid of ``names``."""
    return editor_table(editing.draft, editing.subject.taus, editing.subject.shares, names)


def edit_grid(editing: Editing, names: Sequence[str]) -> None:
    """Show the grid of ``names``.

    Its key changes with undo, discard, save, search and whatever else draws the draft anew.
    """
    draft = editing.draft
    place, rows = editing.key, hash(tuple(names)) & 0xFFFFFF
    key = f"grid_{place.model_name}_{place.subject}_{draft.epoch}_{draft.revision}_{rows:x}"
    grid = pinned_grid()
    if (
        grid is None or grid.key != key or key not in st.session_state
    ):  # streamlit forgets grids of pages that were left
        grid = PinnedGrid(key, editing.key, draft.epoch, table_of(editing, names))
        pin_grid(grid)
    table = grid.table
    largest = float(table["gain share"].max()) if table["gain share"].notna().any() else 1.0
    smallest = "At least 1e-24, or what the files have." if draft.base.defaults.are_in_files else "Above 0."
    numbers = {
        name: st.column_config.TextColumn(
            name,
            required=True,
            validate=NUMBER,
            alignment="right",
            help=f"{rule} Write 0.2, -1.5 or 1e-7: a point, no comma. What does not fit this form is not taken over.",
        )
        for name, rule in (("mean", "Any finite number."), ("variance", smallest))
    }
    st.data_editor(
        table,
        key=key,
        hide_index=True,
        num_rows="fixed",
        width="stretch",
        height=rows_height(len(table)),
        disabled=[str(name) for name in table if name not in FIELDS],
        alt="Factors with saved and edited mean and variance",
        column_config={
            "dim": st.column_config.NumberColumn(width="small", pinned=True),
            "factor": st.column_config.TextColumn(pinned=True, width="medium"),
            "Kendall τ": TAU,
            "gain share": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=largest or 1.0),
            "saved mean": st.column_config.NumberColumn(format=EVERY_DIGIT, help="What bots get now"),
            "saved variance": st.column_config.NumberColumn(format=EVERY_DIGIT, help="What bots get now"),
            "mean in files": st.column_config.NumberColumn(
                format=EVERY_DIGIT, help="What bots get where nobody set it"
            ),
            "variance in files": st.column_config.NumberColumn(format=EVERY_DIGIT, help="Std squared"),
            **numbers,
        },
    )
    if draft.cells or names:
        offer_exports(table_of(editing, names), f"{draft.base.subject}-config")
