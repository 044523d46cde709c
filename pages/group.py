"""One group from every side: factors, IC, importance, trees, training, findings, files, and what bots get."""

import streamlit as st

from mm_core.dashboard.page import begin, open_group
from mm_core.dashboard.sections import for_bots, group
from mm_core.dashboard.words import plain

registry = begin()
opened = open_group(registry)
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
for tab, draw in zip(
    st.tabs(list(sides), key="tab", bind="query-params", on_change="rerun"), sides.values(), strict=True
):
    if tab.open:  # one side is drawn at a time: the others cost nothing until somebody looks
        with tab:
            draw(opened, facts)
