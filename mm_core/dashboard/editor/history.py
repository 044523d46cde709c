"""Earlier revisions of a factor config: shown, compared, restored."""

from __future__ import annotations

import streamlit as st

from mm_core.dashboard.dialogs import answered, ask, asked
from mm_core.dashboard.editor.begin import Editing
from mm_core.dashboard.editor.saving import WHO
from mm_core.dashboard.page import refuse_after_rerun, say_after_rerun, show_refusal
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import WHEN, rows_height, show_table
from mm_core.dashboard.tables.configs import config_changes_table, history_table
from mm_core.dashboard.words import counted
from mm_core.domain.configs import AS_IN_FILES
from mm_core.errors import ModelManagerError

RESTORE = "restore"


def history(editing: Editing) -> None:
    """Show the revisions, newest first; compare one with what is saved now, and restore it."""
    configs, (name, subject, _) = editing.subject.configs, editing.key
    with errors_as_sentences():
        revisions = configs.history(name, subject)
    if not revisions:
        st.caption("Nobody changed anything yet.")
        return
    table = history_table(revisions)
    show_table(
        table, f"{name}-{subject}-history", "Revisions, newest first", height=rows_height(len(table), 300),
        config={"at": WHEN, "what": st.column_config.TextColumn(width="large")},
    )  # fmt: skip
    numbers = [revision.number for revision in reversed(revisions) if revision.number < editing.saved.record.revision]
    numbers += [AS_IN_FILES] if editing.saved.config.defaults.are_in_files else []
    if not numbers:
        return
    number = st.selectbox(
        "Compare with what is saved now", numbers, key="compare_revision", width=280, format_func=_number_words
    )
    with errors_as_sentences():
        then = configs.at_revision(name, subject, number)
    changes = config_changes_table(then, editing.saved.config)
    if changes.empty:
        st.caption(f"Revision {number} has the same numbers for the present factors.")
        return
    show_table(
        changes, f"{name}-{subject}-since-{number}", f"Numbers of revision {number} beside those saved now",
        height=rows_height(len(changes), 260),
    )  # fmt: skip
    st.button(
        f"Restore revision {number} …",
        icon=":material/history:",
        key="restore",
        on_click=ask,
        args=(RESTORE, (editing.key, number)),
        disabled=bool(editing.draft.cells),
        help="Save or discard your edits first." if editing.draft.cells else None,
    )
    show_refusal(RESTORE)
    if asked(RESTORE) == (editing.key, number):
        _restore_dialog(editing, number, len(changes))


def _number_words(number: int) -> str:
    return f"{number}, the files" if number == AS_IN_FILES else str(number)


@st.dialog("Restore an earlier revision", on_dismiss=answered)
def _restore_dialog(editing: Editing, number: int, count: int) -> None:
    st.markdown(
        f"{counted(count, 'number')} go back to revision {number}, as revision {editing.saved.record.revision + 1}. "
        "The present ones stay in the history."
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        left = st.button("Leave it", key="restore_cancel", on_click=answered)
        restored = st.button("Restore", type="primary", key="restore_now", on_click=_restore, args=(editing, number))
    if left or restored:
        st.rerun()  # a dialog runs alone: the page under it must run too


def _restore(editing: Editing, number: int) -> None:
    answered()
    place = editing.key
    try:
        editing.subject.configs.restore(
            place.model_name,
            place.subject,
            number,
            by=WHO,
            expected_revision=editing.saved.record.revision,
        )
    except ModelManagerError as error:
        refuse_after_rerun(RESTORE, error)
        return
    say_after_rerun(f"Restored revision {number} of {editing.subject.title}.")
