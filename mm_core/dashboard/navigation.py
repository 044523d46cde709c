"""The frame around every page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

PROJECT = Path(__file__).parent.parent.parent
_ROUTED = "_model_manager_routed"


def frame() -> StreamlitPage:
    """Set the page's frame up and return the page that the address names."""
    st.set_page_config(
        page_title="Model Manager",
        page_icon=str(Path(__file__).parent / "static" / "favicon.svg"),
        layout="wide",
    )
    st.session_state[_ROUTED] = True
    pages = PROJECT / "pages"
    return st.navigation(
        [
            st.Page(
                pages / "overview.py", title="Overview", icon=":material/dashboard:", url_path="overview", default=True
            ),
            st.Page(pages / "config.py", title="Factor configs", icon=":material/tune:", url_path="config"),
        ]
    )


def through_the_app() -> None:
    """Lead a cold deep link through the frame.

    The first session after a start that asks for a page runs that page's file alone, without `app.py`: streamlit finds
    the folder before anything told it of ``st.navigation``.
    """
    if not st.session_state.get(_ROUTED):
        frame()
        st.rerun()
