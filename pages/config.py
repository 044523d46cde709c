"""The normalization of one symbol: mean and variance of every factor, and how to change them."""

import shlex

import streamlit as st

from mm_core.dashboard.navigation import through_the_app
from mm_core.dashboard.session import api_address, current_registry
from mm_core.dashboard.tables import config_table, history_table

through_the_app()
st.title("Factor configs")

registry = current_registry()
names = [model.name for model in registry.view().models()]
if not names:
    st.info("No model is registered yet. Start the demo with ./start.sh --demo, or register a directory.")
    st.stop()

left, right = st.columns(2)
name = left.selectbox("Model", names, key="model", bind="query-params")
_, scan = registry.model(name)
if not scan.groups:
    st.info(f"Model {name} has no group. Check its directory, then refresh it.")
    st.stop()
symbol = right.selectbox("Symbol", scan.symbols(), key="symbol", bind="query-params")

_, _, group = registry.group(name, symbol)
current = registry.configs.get(name, symbol)
st.caption(
    f"{group.group_key}, revision {current.record.revision}, changed {current.record.updated_at}. "
    "Normalized value = (x - mean) / sqrt(variance)."
)
st.dataframe(
    config_table(group, current.config),
    hide_index=True,
    width="stretch",
    column_config={"Kendall tau": st.column_config.NumberColumn(format="%.4f")},
)

st.subheader("Change it")
address = f"{api_address()}/api/models/{name}/symbols/{symbol}/factor-config"
st.code(
    f"curl -s {shlex.quote(address)} > config.json\n"
    f"curl -s -X PUT -H 'Content-Type: application/json' -d @config.json {shlex.quote(address)}",
    language="bash",
)
st.subheader("History")
st.dataframe(
    history_table(registry.configs.history(name, symbol)),
    hide_index=True,
    width="stretch",
    column_config={"at": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", timezone="UTC")},
)
