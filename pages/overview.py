"""Every registered model, what changed, what is wrong, and how to register another."""

import streamlit as st

from mm_core.dashboard.page import all_models, begin, warn_of_older_scan
from mm_core.dashboard.sections import overview, registering
from mm_core.dashboard.session import api_address
from mm_core.dashboard.show import show_table
from mm_core.dashboard.sidebar import picked
from mm_core.dashboard.tables.models import findings_of, findings_table

registry = begin("Overview")
models = all_models(registry)
if not models:
    st.info("No model is registered yet. Register a directory here, or start the demo with `./start.sh --demo`.")
else:
    overview.models(models)
    name = picked().model_name
    if name is not None:
        registering.model_actions(registry, name)
    for model, _ in models:
        warn_of_older_scan(model)
    overview.cannot_be_served(models)

registering.register_form(registry, [model.name for model, _ in models], expanded=not models)

if models:
    overview.changes(registry)
    findings = findings_of(models)
    if findings:
        st.subheader("Findings")
        show_table(findings_table(findings), "findings", "Findings of all models, errors first")

address = api_address()
links = {"models": "/api/models", "health": "/api/health", "OpenAPI": "/api/openapi.json", "metrics": "/metrics"}
st.caption("For bots and tools: " + " · ".join(f"[{label}]({address}{path})" for label, path in links.items()))
