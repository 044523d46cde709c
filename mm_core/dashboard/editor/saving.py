"""Save a draft: what will change, and what to do when somebody else was faster."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from mm_core.dashboard.dialogs import answered, ask, asked
from mm_core.dashboard.editor.begin import Editing
from mm_core.dashboard.editor.drafts import CellDiff
from mm_core.dashboard.editor.kept import drafts, take_typed
from mm_core.dashboard.page import refuse_after_rerun, say_after_rerun, show_refusal
from mm_core.dashboard.show import CHANGE, rows_height, show_table
from mm_core.dashboard.tables.configs import conflicts_table, diff_table
from mm_core.dashboard.words import counted, plain
from mm_core.errors import ModelManagerError, RevisionConflict

SAVE = "save"
WHO = "dashboard"


def save_bar(editing: Editing) -> None:
    """Show how much is unsaved, and the ways on: save, undo, discard."""
    draft = editing.draft
    problems = draft.problems()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Save …",
            type="primary",
            icon=":material/save:",
            key="save",
            shortcut="Ctrl+S",
            disabled=not draft.cells or bool(problems) or editing.is_behind,
            on_click=ask,
            args=(SAVE, editing.key),
        )
        st.button(
            "Undo", icon=":material/undo:", key="undo", disabled=not draft.undo_steps, on_click=_undo, args=(editing,)
        )
        st.button(
            "Discard",
            icon=":material/delete_sweep:",
            key="discard",
            disabled=not draft.cells,
            on_click=_discard,
            args=(editing,),
        )
        unsaved = f"{len(draft.cells)} unsaved" if draft.cells else "nothing unsaved"
        st.markdown(f"{unsaved} · editing revision {draft.revision}")
    if asked(SAVE) == editing.key:
        if draft.cells and not problems and not editing.is_behind:
            _save_dialog(editing)
        else:
            answered()  # the reason stands on the page
    show_refusal(SAVE)


def behind_notice(editing: Editing) -> None:
    """Show what somebody else saved since the draft was begun, beside what is typed here, and the ways on."""
    draft, saved = editing.draft, editing.saved
    if not editing.is_behind:
        return
    if not draft.cells:
        draft.rebase(saved.config, saved.record.revision, keep_mine=True, created_at=saved.record.created_at)
        return
    conflicts = draft.conflicts_with(saved.config)
    changed = [conflict for conflict in conflicts if conflict.is_change]
    both = [conflict for conflict in changed if conflict.mine is not None]
    with st.container(border=True):
        st.warning(" ".join(_what_happened(editing, len(changed), len(both))), icon=":material/call_split:")
        if conflicts:
            show_table(
                conflicts_table(conflicts),
                "conflicts",
                "Numbers that are other ones by now, beside yours",
                height=rows_height(len(conflicts), 260),
            )
        with st.container(horizontal=True):
            st.button(
                "Put my changes on top",
                type="primary",
                key="rebase_mine",
                icon=":material/merge:",
                on_click=_rebase,
                args=(editing, True),
                help="Takes the saved revision and types your numbers over it. You can look again before you save.",
            )
            st.button(
                "Take theirs where both changed",
                key="rebase_theirs",
                on_click=_rebase,
                args=(editing, False),
                disabled=not both,
            )
            st.button("Drop mine", key="rebase_drop", on_click=_drop, args=(editing,))


def _what_happened(editing: Editing, changed: int, both: int) -> list[str]:
    draft, saved = editing.draft, editing.saved
    revision = saved.record.revision
    faster = f"Somebody else was faster: revision {revision} is saved, you edit revision {draft.revision}."
    if revision == draft.revision and saved.config.defaults != draft.base.defaults:
        faster = "The files of this version were replaced since you began."
    numbers = f"{counted(changed, 'number')} changed, {both} of them here too." if changed else "No number changed."
    said = [faster, numbers]
    before, now = draft.base.factor_names, saved.config.factor_names
    gone = [name for name in before if name not in set(now)]
    new = [name for name in now if name not in set(before)]
    lost = {cell.factor for cell in draft.cells} & set(gone)
    said += [f"The model has {counted(len(new), 'new factor')}: {plain(', '.join(new[:6]))}."] if new else []
    said += [f"It no longer has {plain(', '.join(gone[:6]))}{' and others' if gone[6:] else ''}."] if gone else []
    said += (
        [f"Your edits of {plain(', '.join(sorted(lost)))} cannot be kept."] if lost else ["Nothing of yours is lost."]
    )
    return said


def show_diff(diff: Sequence[CellDiff], key: str) -> None:
    """Show the numbers that saving would change."""
    show_table(
        diff_table(diff), key, "Numbers that change, saved and new", height=rows_height(len(diff), 320),
        config={"change": CHANGE},
    )  # fmt: skip


@st.dialog("Save mean and variance", width="large", on_dismiss=answered)
def _save_dialog(editing: Editing) -> None:
    draft = editing.draft
    diff = draft.diff()
    st.markdown(
        f"**{plain(editing.subject.title)}**, revision {draft.revision} → {draft.revision + 1}: "
        f"{counted(len(diff), 'number')} will change. Bots get them with their next pull, under a new ETag."
    )
    show_diff(diff, "diff")
    st.text_input("Why?", key="save_note", placeholder="kept with the revision", max_chars=500)
    with st.container(horizontal=True, horizontal_alignment="right"):
        left = st.button("Not yet", key="save_cancel", on_click=answered)
        saved = st.button("Save", type="primary", key="save_now", on_click=_save, args=(editing,))
    if left or saved:
        st.rerun()  # a dialog runs alone: the page under it must run too


def _save(editing: Editing) -> None:
    subject, draft = editing.subject, editing.draft
    answered()
    try:
        saved = subject.configs.save(
            subject.place.model_name,
            subject.place.subject,
            draft.document(),
            by=WHO,
            note=st.session_state.get("save_note", ""),
            group_key=subject.group_key,
            expected_revision=draft.revision,
            expected_created_at=draft.created_at,
            expected_files=draft.base.defaults.digest,
        )
    except RevisionConflict:
        return  # the page shows both sides by itself
    except ModelManagerError as error:
        refuse_after_rerun(SAVE, error)
        return
    drafts().pop(editing.key, None)
    st.session_state.pop("save_note", None)
    say_after_rerun(f"Saved revision {saved.record.revision} of {subject.title}.")


def _undo(editing: Editing) -> None:
    take_typed()
    editing.draft.undo()


def _discard(editing: Editing) -> None:
    take_typed()
    editing.draft.discard()


def _rebase(editing: Editing, keep_mine: bool) -> None:
    take_typed()
    record = editing.saved.record
    lost = editing.draft.rebase(
        editing.saved.config, record.revision, keep_mine=keep_mine, created_at=record.created_at
    )
    if lost:
        names = ", ".join(sorted({cell.factor for cell in lost}))
        say_after_rerun(f"The model no longer has {names}; edits of it were dropped.")


def _drop(editing: Editing) -> None:
    drafts().pop(editing.key, None)
