"""What a bot gets for a group: the payload itself, and the lines that fetch it."""

from __future__ import annotations

import streamlit as st

from mm_core.dashboard.commands import pull_by_curl, pull_by_python
from mm_core.dashboard.page import OpenGroup
from mm_core.dashboard.session import api_address
from mm_core.dashboard.tables.models import why_unserved
from mm_core.dashboard.words import error_sentence, plain
from mm_core.errors import ModelManagerError
from mm_core.payloads import Coding


def payload(opened: OpenGroup) -> None:
    """Offer the payload as a download and as ready lines."""
    group, registry = opened.group, opened.registry
    if not group.payload_ready:
        st.info(f"Bots get 404 for this group. {plain(why_unserved(group))}")
        return
    try:
        handle = registry.payloads.handle(opened.name, group.symbol, group.group_key)
    except ModelManagerError as error:
        st.error(error_sentence(error))
        return
    st.markdown(f"**{handle.size_bytes:,} bytes** of JSON, SHA-256 `{handle.digest}`.")
    st.download_button(
        "Download the payload",
        lambda: registry.payloads.body(handle, Coding.IDENTITY),
        f"{opened.name}-{group.symbol}.json",
        "application/json",
        key="payload",
        icon=":material/download:",
        on_click="ignore",
    )
    base = api_address()
    st.markdown("With curl: once whole, then only when it changed.")
    st.code(pull_by_curl(base, opened.name, group.symbol), language="bash", wrap_lines=True)
    st.markdown("With Python: checked, kept on disk, ready to predict.")
    st.code(pull_by_python(base, opened.name, group.symbol), language="python", wrap_lines=True)
