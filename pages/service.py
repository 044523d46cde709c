"""How the payload server is, and what is wrong anywhere."""

import streamlit as st

from mm_core.dashboard.page import all_models, begin
from mm_core.dashboard.sections import service

registry = begin("Service")
service.server()
st.subheader("Store")
service.store(registry)
st.subheader("Findings of all models")
service.all_findings(all_models(registry))
