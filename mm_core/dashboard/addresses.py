"""Choices that stand in the address, so that a link shows what its sender saw."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

_WRITTEN = "_model_manager_written"


def take_from_address(key: str, options: Sequence[str]) -> str | None:
    """Set the widget ``key`` of every page to what the address asks for; return what it asked for in vain.

    Streamlit's own binding refuses `streamlit.switch_page` while a widget of the frame is bound. So the address counts
    where it differs from what was written there last, which is how links, back and forward change it.
    """
    written: dict[str, str] = st.session_state.setdefault(_WRITTEN, {})
    asked = st.query_params.get(key)
    if asked is not None and asked != written.get(key):
        if asked in options:
            st.session_state[key] = asked
            return None
        st.session_state[key] = options[0]
        return asked
    if st.session_state.get(key) not in options:
        before = written.get(key)
        st.session_state[key] = before if before in options else options[0]
    return None


def keep_in_address(key: str, value: str) -> None:
    """Write a choice into the address."""
    st.session_state.setdefault(_WRITTEN, {})[key] = value
    if st.query_params.get(key) != value:
        st.query_params[key] = value
