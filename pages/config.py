"""The normalization of one symbol: edited in a grid, checked, compared, saved as a revision."""

import streamlit as st

from mm_core.dashboard.editor import bulk, grid, history, saving
from mm_core.dashboard.editor.begin import begin_editing
from mm_core.dashboard.page import begin, open_group
from mm_core.dashboard.sections import config, group

registry = begin("Factor configs")
opened = open_group(registry)
editing = begin_editing(opened)
config.header(editing)
saving.behind_notice(editing)
names = config.search(editing)
bulk.bulk_tools(editing, names)
if names:
    grid.edit_grid(editing, group.facts_of(opened).importance, names)
else:
    st.info("No factor fits the search. Clear it to see all of them.")
config.problems(editing)
saving.save_bar(editing)

for tab, draw in zip(
    st.tabs(["What will change", "History", "From outside"], key="under", on_change="rerun"),
    (config.changes, history.history, config.from_outside),
    strict=True,
):
    if tab.open:
        with tab:
            draw(editing)
