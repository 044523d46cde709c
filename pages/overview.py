"""Every registered model, what is wrong with it, and the way to the API."""

import streamlit as st

from mm_core.dashboard.navigation import through_the_app
from mm_core.dashboard.session import api_address, current_registry, errors_as_sentences, follow
from mm_core.dashboard.tables import findings_table, models_table
from mm_core.registry.lookups import require_scan

through_the_app()
st.title("Overview")

with errors_as_sentences():
    address = api_address()
    view = current_registry().view()
    models = [require_scan(view, model.name) for model in view.models()]
if not models:
    st.info("No model is registered yet. Register a directory, or start the demo:")
    st.code(".venv/bin/python -m mm_core register NAME DIRECTORY\n./start.sh --demo", language="bash")
else:
    table = models_table(models)
    counts = st.columns(4)
    counts[0].metric("Models", len(models), border=True)
    counts[1].metric("Groups", int(table["groups"].sum()), border=True)
    counts[2].metric("Ready for bots", int(table["ready for bots"].sum()), border=True)
    counts[3].metric("Findings", int(table["errors"].sum() + table["warnings"].sum()), border=True)
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        alt="Registered models with their counts and last scan",
        column_config={"last scan": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", timezone="UTC")},
    )
    for model, _ in models:
        if model.refresh_error is not None:
            st.warning(f"**{model.name}** serves an older scan. {model.refresh_error}")
    findings = [(model.name, finding) for model, scan in models for finding in scan.all_findings()]
    if findings:
        st.subheader("Findings")
        st.dataframe(findings_table(findings), hide_index=True, width="stretch", alt="Findings, errors first")

st.subheader("For bots and operators")
links = {"models": "/api/models", "health": "/api/health", "OpenAPI": "/api/openapi.json", "metrics": "/metrics"}
st.markdown(" · ".join(f"[{name}]({address}{path})" for name, path in links.items()))

follow(view.revision)
