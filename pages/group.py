"""One group from every side: factors, IC, importance, trees, training, findings, files, and what bots get."""

from functools import partial

import streamlit as st

from mm_core.dashboard.page import begin, open_group
from mm_core.dashboard.sections import for_bots, group
from mm_core.dashboard.show import draw_open_tab
from mm_core.dashboard.words import plain

registry = begin()
opened = open_group(registry, heading="Group")
facts = group.facts_of(opened)
st.title(plain(f"{opened.group.symbol} · {opened.group.return_name}"), anchor=False)
group.header(opened, facts)

sides = {
    "Factors": group.factors,
    "IC": group.ic,
    "Importance": group.importance,
    "Trees": group.trees,
    "Training": group.training,
    "Findings": group.findings,
    "Files": group.files,
    "For bots": lambda opened, facts: for_bots.payload(opened),
}
draw_open_tab({name: partial(draw, opened, facts) for name, draw in sides.items()}, key="tab")
