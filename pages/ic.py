"""Information coefficients of many groups side by side."""

import streamlit as st

from mm_core.dashboard.page import begin
from mm_core.dashboard.sections import ic

scope = ic.choose_scope(begin("IC explorer"))
views = {
    "Heat map": ic.heat_map,
    "One factor": ic.one_factor,
    "Consistency": ic.consistency,
    "Agreement": ic.agreement,
    "Distributions": ic.distributions,
    "Families": ic.families,
}
for tab, draw in zip(
    st.tabs(list(views), key="view", bind="query-params", on_change="rerun"), views.values(), strict=True
):
    if tab.open:
        with tab:
            draw(scope)
