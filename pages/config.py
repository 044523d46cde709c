"""The normalization of one symbol or version: edited in a grid, checked, compared, saved as a revision."""

from functools import partial

import streamlit as st

from mm_core.dashboard.editor import bulk, grid, history, saving
from mm_core.dashboard.editor.begin import begin_editing
from mm_core.dashboard.editor.subjects import open_subject
from mm_core.dashboard.page import begin
from mm_core.dashboard.sections import config
from mm_core.dashboard.show import draw_open_tab
from mm_core.dashboard.words import plain

registry = begin("Factor configs")
editing = begin_editing(open_subject(registry))
config.header(editing)
with st.container():  # these are there now and then, and what is below them shall not move
    saving.behind_notice(editing)
names = config.search(editing)
bulk.bulk_tools(editing, names)
if names:
    grid.edit_grid(editing, names)
elif editing.draft.base.factor_names:
    st.info("Nothing fits the search. Clear it to see all of them.")
else:
    st.info(f"{plain(editing.subject.title)} has no {editing.subject.kind}s: there is nothing to normalize.")
with st.container():
    config.problems(editing)
saving.save_bar(editing)

below = {"What will change": config.changes, "History": history.history, "From outside": config.from_outside}
draw_open_tab({name: partial(draw, editing) for name, draw in below.items()}, key="under")
