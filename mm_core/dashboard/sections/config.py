"""What surrounds the grid of the factor config editor."""

from __future__ import annotations

import streamlit as st

from mm_core.dashboard.commands import change_by_command_line, change_by_http
from mm_core.dashboard.editor.begin import Editing
from mm_core.dashboard.editor.saving import show_diff
from mm_core.dashboard.session import api_address, writes_need_token
from mm_core.dashboard.show import rows_height, show_table
from mm_core.dashboard.tables.configs import problems_table
from mm_core.dashboard.words import counted, plain

ONLY = ("changed", "with problems")


def header(editing: Editing) -> None:
    """Say whose normalization this is, and what it means."""
    record, opened = editing.saved.record, editing.opened
    symbol, name, key = (plain(text) for text in (opened.group.symbol, opened.name, opened.group.group_key))
    st.caption(
        f"**{symbol}** of **{name}**, group {key}, revision {record.revision}, changed "
        f"{record.updated_at[:16].replace('T', ' ')} UTC. Normalized value = (x − mean) / √variance."
    )


def search(editing: Editing) -> list[str]:
    """Return the factors that search and filters ask for, in dimension order."""
    left, right = st.columns([2, 3])
    text = left.text_input("Search", key="find", bind="query-params", icon=":material/search:", placeholder="factor")
    only = right.pills("Only", ONLY, key="only", bind="query-params")
    names = list(editing.draft.base.factor_names)
    if text.strip():
        names = [name for name in names if text.strip().casefold() in name.casefold()]
    if only == "changed":
        changed = {cell.factor for cell in editing.draft.cells}
        names = [name for name in names if name in changed]
    elif only == "with problems":
        wrong = {problem.cell.factor for problem in editing.draft.problems()}
        names = [name for name in names if name in wrong]
    return names


def problems(editing: Editing) -> None:
    """List every cell that cannot be saved."""
    found = editing.draft.problems()
    if found:
        st.error(f"{counted(len(found), 'number')} cannot be saved. Nothing is stored until all of them are right.")
        show_table(
            problems_table(found),
            "problems",
            "Cells that cannot be saved, and why",
            height=rows_height(len(found), 220),
        )


def changes(editing: Editing) -> None:
    """Show what saving would change."""
    diff = editing.draft.diff()
    if not diff:
        st.caption("Nothing differs from what is saved.")
        return
    show_diff(diff, "unsaved-changes")


def from_outside(editing: Editing) -> None:
    """Show the lines that change the same config from a shell."""
    name, symbol = editing.opened.name, editing.opened.group.symbol
    st.code(
        change_by_http(api_address(), name, symbol, with_token=writes_need_token()), language="bash", wrap_lines=True
    )
    st.code(change_by_command_line(name, symbol, editing.saved.record.revision), language="bash", wrap_lines=True)
