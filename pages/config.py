"""The normalization of one symbol: edited in a grid, checked, compared, saved as a revision."""

from functools import partial

import streamlit as st

from mm_core.dashboard.editor import bulk, grid, history, saving
from mm_core.dashboard.editor.begin import begin_editing
from mm_core.dashboard.page import begin, open_group
from mm_core.dashboard.sections import config, group
from mm_core.dashboard.show import draw_open_tab

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

below = {"What will change": config.changes, "History": history.history, "From outside": config.from_outside}
draw_open_tab({name: partial(draw, editing) for name, draw in below.items()}, key="under")
