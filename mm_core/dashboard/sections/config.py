"""What surrounds the grid of the factor config editor."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from mm_core.dashboard.commands import change_by_command_line, change_by_http
from mm_core.dashboard.editor.begin import Editing
from mm_core.dashboard.editor.saving import show_diff
from mm_core.dashboard.session import api_address, writes_need_token
from mm_core.dashboard.show import rows_height, show_table
from mm_core.dashboard.tables.configs import problems_table
from mm_core.dashboard.words import counted

ONLY = ("changed", "with problems")
OVERRIDDEN = "overridden"


def header(editing: Editing) -> None:
    """Say whose normalization this is, and what it means."""
    record, config = editing.saved.record, editing.saved.config
    changed = f"changed {record.updated_at[:16].replace('T', ' ')} UTC" if record.revision else "as its files say"
    st.caption(
        f"{editing.subject.described}, revision {record.revision}, {changed}. Normalized value = (x − mean) / √variance"
        + (", 0 where the variance is 0." if config.defaults.are_in_files else ".")
    )
    if config.defaults.are_in_files:
        overridden = counted(len(config.overridden), "feature")
        with st.container(horizontal=True, vertical_alignment="center"):
            color: Literal["blue", "gray"] = "blue" if config.overridden else "gray"
            st.badge(f"{overridden} with other numbers than the files", icon=":material/tune:", color=color)
            st.caption("What is saved here is kept beside the files, which never change.")


def search(editing: Editing) -> list[str]:
    """Return the factors that search and filters ask for, in dimension order."""
    left, right = st.columns([2, 3])
    text = left.text_input(
        "Search", key="find", bind="query-params", icon=":material/search:", placeholder=editing.subject.kind
    )
    options = (*ONLY, OVERRIDDEN) if editing.draft.base.defaults.are_in_files else ONLY
    only = right.pills("Only", options, key="only", bind="query-params")
    names = list(editing.draft.base.factor_names)
    if text.strip():
        names = [name for name in names if text.strip().casefold() in name.casefold()]
    if only == "changed":
        changed = {cell.factor for cell in editing.draft.cells}
        names = [name for name in names if name in changed]
    elif only == "with problems":
        wrong = {problem.cell.factor for problem in editing.draft.problems()}
        names = [name for name in names if name in wrong]
    elif only == OVERRIDDEN:
        set_now = set(editing.saved.config.overridden)
        names = [name for name in names if name in set_now]
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
    name, subject, label = editing.key
    revision = editing.saved.record.revision
    by_http = change_by_http(api_address(), name, subject, with_token=writes_need_token(), is_version=bool(label))
    st.code(by_http, language="bash", wrap_lines=True)
    by_command_line = change_by_command_line(name, subject, revision, is_version=bool(label))
    st.code(by_command_line, language="bash", wrap_lines=True)
