"""The normalization of one symbol: mean and variance of every factor, and how to change them."""

import streamlit as st

from mm_core.dashboard.commands import change_by_command_line, change_by_http
from mm_core.dashboard.navigation import through_the_app
from mm_core.dashboard.session import api_address, current_registry, errors_as_sentences, follow, writes_need_token
from mm_core.dashboard.tables import config_table, history_table

through_the_app()
st.title("Factor configs")

with errors_as_sentences():
    registry = current_registry()
    view = registry.view()
follow(view.revision)
names = [model.name for model in view.models()]
if not names:
    st.info("No model is registered yet. Start the demo with ./start.sh --demo, or register a directory.")
    st.stop()

asked = [st.query_params.get(key) for key in ("model", "symbol")]
left, right = st.columns(2)
name = left.selectbox("Model", names, key="model", bind="query-params")
with errors_as_sentences():
    symbols = registry.model(name)[1].symbols()
if not symbols:
    st.info(f"Model {name} has no group. Check its directory, then refresh it.")
    st.stop()
symbol = right.selectbox("Symbol", symbols, key="symbol", bind="query-params")
for kind, wanted, known in zip(("model", "symbol"), asked, (names, symbols), strict=True):
    if wanted is not None and wanted not in known:
        st.warning(f"There is no {kind} '{wanted}' here; this is {name} {symbol}.")

with errors_as_sentences():
    _, _, group = registry.group(name, symbol)
    current = registry.configs.get(name, symbol)
    history = registry.configs.history(name, symbol)
st.caption(
    f"{group.group_key}, revision {current.record.revision}, changed {current.record.updated_at}. "
    "Normalized value = (x - mean) / sqrt(variance)."
)
st.dataframe(
    config_table(group, current.config),
    hide_index=True,
    width="stretch",
    alt="Dimension, factor, Kendall tau, mean and variance",
    column_config={
        "Kendall tau": st.column_config.NumberColumn(format="%+.4f"),
        "mean": st.column_config.NumberColumn(format="plain"),
        "variance": st.column_config.NumberColumn(format="plain"),
    },
)

st.subheader("Change it")
st.code(change_by_http(api_address(), name, symbol, with_token=writes_need_token()), language="bash", wrap_lines=True)
st.code(change_by_command_line(name, symbol, current.record.revision), language="bash", wrap_lines=True)
st.subheader("History")
st.dataframe(
    history_table(history),
    hide_index=True,
    width="stretch",
    alt="Revisions, newest first",
    column_config={"at": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", timezone="UTC")},
)
