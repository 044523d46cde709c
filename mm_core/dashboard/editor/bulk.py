"""Many cells at once: pasted columns, files, defaults, scaling."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from mm_core import strict_json
from mm_core.dashboard.editor.begin import Editing
from mm_core.dashboard.editor.drafts import FIELDS, Cells, Field, at_defaults, config_document, scaled
from mm_core.dashboard.editor.kept import take_typed
from mm_core.dashboard.editor.pasting import Pasted, read_columns, read_file
from mm_core.dashboard.page import say_after_rerun
from mm_core.dashboard.show import rows_height, show_table
from mm_core.dashboard.words import counted
from mm_core.domain.configs import FILES_DIGEST

_PROBLEMS = "_model_manager_paste_problems"
WHICH: dict[str, tuple[Field, ...]] = {"mean and variance": FIELDS, "mean": ("mean",), "variance": ("variance",)}
MOST_UPLOAD_MB = 8
MOST_PROBLEMS = 200
"""Listed one by one; the rest is counted."""


def bulk_tools(editing: Editing, shown: Sequence[str]) -> None:
    """Offer the ways to change many cells; each is one step that Undo takes back."""
    with st.container(horizontal=True):
        with st.popover("Paste or upload", icon=":material/content_paste:"):
            _paste(editing)
        with st.popover("Scale", icon=":material/percent:"):
            _scale(editing, shown)
        with st.popover("Defaults", icon=":material/restart_alt:"):
            defaults = editing.draft.base.defaults
            what = "What the files say" if defaults.are_in_files else "Mean 0.2 and variance 1"
            st.markdown(f"{what}, for the **{len(shown)} {editing.subject.kind}s shown**.")
            st.button(
                "Reset to the files" if defaults.are_in_files else "Reset to defaults",
                key="defaults",
                on_click=_take_cells,
                args=(editing, at_defaults(shown, defaults)),
                disabled=not shown,
            )
        with st.popover("JSON", icon=":material/data_object:"):
            _as_json(editing)
    place, problems = st.session_state.get(_PROBLEMS, (editing.key, ()))
    if problems and place == editing.key:
        st.error(f"{counted(len(problems), 'problem')}. Nothing was filled in.")
        listed = pd.DataFrame({"what is wrong": problems[:MOST_PROBLEMS]})
        show_table(
            listed, "paste-problems", "What is wrong with the pasted lines", height=rows_height(len(listed), 220)
        )


def _paste(editing: Editing) -> None:
    st.markdown(
        "Lines of `factor, mean, variance`, or two columns of numbers in the model's order; from a sheet, a CSV "
        "file or a JSON file. Nothing is stored, the numbers go into the grid."
    )
    st.text_area("Columns", key="paste_text", height=160, placeholder="momentum_5\t0.013\t1.7")
    st.button("Fill in what is pasted", key="paste_apply", on_click=_take_text, args=(editing,))
    st.file_uploader(
        "CSV or JSON file", ["csv", "tsv", "txt", "json"], key="paste_file", max_upload_size=MOST_UPLOAD_MB
    )
    st.button("Fill in the file", key="file_apply", on_click=_take_file, args=(editing,))


def _scale(editing: Editing, shown: Sequence[str]) -> None:
    st.markdown(f"`value × factor + shift`, for the factors below or the **{len(shown)} factors shown**.")
    chosen = st.multiselect("Factors", editing.draft.base.factor_names, key="scale_factors", placeholder="all shown")
    which = st.segmented_control("Numbers", list(WHICH), default="variance", key="scale_fields", required=True)
    left, right = st.columns(2)
    factor = left.text_input("Factor", "1", key="scale_factor")
    shift = right.text_input("Shift", "0", key="scale_shift")
    try:
        numbers = float(factor), float(shift)
    except ValueError:
        st.error("Factor and shift must be numbers, such as 0.5 and 0.")
        return
    st.button(
        "Scale",
        key="scale_apply",
        on_click=_take_scaled,
        args=(editing, chosen or shown, WHICH[which], *numbers),
    )


def _as_json(editing: Editing) -> None:
    config = editing.saved.config
    document = config_document(config.subject, config.factor_names, config.mean_values, config.variance_values)
    if config.defaults.are_in_files:
        document[config.subject][FILES_DIGEST] = config.defaults.digest
    text = strict_json.encode_for_people(document)
    st.markdown(f"What is saved, revision {editing.saved.record.revision}, in the form that bots and `PUT` use.")
    st.download_button(
        "Download",
        text,
        f"{editing.key.model_name}-{config.subject}.json",
        "application/json",
        key="config_json",
        icon=":material/download:",
        on_click="ignore",
    )
    st.code(text.decode(), language="json", height=300)


def _take_scaled(editing: Editing, names: Sequence[str], fields: Sequence[Field], factor: float, shift: float) -> None:
    take_typed()
    _take_cells(editing, scaled(editing.draft, names, fields, factor, shift))


def _take_text(editing: Editing) -> None:
    base = editing.draft.base
    _take(editing, read_columns(st.session_state.get("paste_text", ""), base.factor_names, base.defaults))


def _take_file(editing: Editing) -> None:
    uploaded = st.session_state.get("paste_file")
    if uploaded is None:
        st.session_state[_PROBLEMS] = (editing.key, ("Choose a file first.",))
        return
    base = editing.draft.base
    _take(editing, read_file(uploaded.getvalue(), base.subject, base.factor_names, base.defaults))


def _take(editing: Editing, pasted: Pasted) -> None:
    st.session_state[_PROBLEMS] = (editing.key, pasted.problems)
    if not pasted.problems:
        _take_cells(editing, pasted.cells)


def _take_cells(editing: Editing, cells: Cells) -> None:
    st.session_state.pop(_PROBLEMS, None)
    take_typed()
    before = len(editing.draft.cells)
    if editing.draft.type_into(cells):
        say_after_rerun(f"{len(editing.draft.cells)} numbers differ from what is saved, {before} before.")
    else:
        say_after_rerun("These are the numbers that stand there already.")
