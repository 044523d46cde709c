"""Two groups, models or scans side by side."""

import streamlit as st

from mm_core.dashboard.addresses import take_link
from mm_core.dashboard.page import begin
from mm_core.dashboard.sections import compare

registry = begin("Compare")
kinds = {"Groups": compare.two_groups, "Models": compare.two_models, "Scans": compare.two_scans}
take_link("what", kinds)
kind = st.segmented_control("What", list(kinds), default="Groups", key="what", bind="query-params", required=True)
kinds[kind](registry)
