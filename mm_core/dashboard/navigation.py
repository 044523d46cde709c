"""The frame around every page: addresses, the sidebar, and the way into both from a cold link."""

from __future__ import annotations

import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from mm_core.dashboard.addresses import PROJECT, page_path
from mm_core.dashboard.sidebar import in_hand, sidebar

STATIC = Path(__file__).parent / "static"
_ROUTED = "_model_manager_routed"
_FRAMED = "_model_manager_framed"


class Entry(NamedTuple):
    """One page: ``name`` is its file below ``pages/`` and its address."""

    name: str
    title: str
    icon: str


def frame(sections: Mapping[str, Sequence[Entry]]) -> StreamlitPage:
    """Set the page's frame up and return the page that the address names; ``/`` leads to the first one."""
    page = _navigation(sections)
    if not page.url_path:  # the page at /
        first = next(iter(sections.values()))[0].name
        st.switch_page(page_path(first), query_params=st.query_params.to_dict())
    _draw_frame(sections, page.url_path)
    st.session_state[_FRAMED] = True
    return page


def through_the_app() -> None:
    """Lead a cold deep link through the frame.

    The first session after a start that asks for a page runs that page's file alone, without `app.py`: streamlit finds
    the folder before anything told it of ``st.navigation``.
    """
    if st.session_state.pop(_FRAMED, False):
        return
    sections = runpy.run_path(str(PROJECT / "app.py"))["PAGES"]
    if not st.session_state.get(_ROUTED):
        _navigation(sections)
        st.rerun()
    # Streamlit forgot the navigation meanwhile; another rerun would lose the click that led here.
    _draw_frame(sections, "")


def _navigation(sections: Mapping[str, Sequence[Entry]]) -> StreamlitPage:
    # Without an icon of our own streamlit fetches the page's from outside.
    st.set_page_config(page_title="Model Manager", page_icon=str(STATIC / "favicon.svg"), layout="wide")
    pages = {
        section: [
            st.Page(page_path(entry.name), title=entry.title, icon=entry.icon, url_path=entry.name) for entry in entries
        ]
        for section, entries in sections.items()
    }
    start = st.Page(lambda: None, title="Model Manager", url_path="start", default=True, visibility="hidden")
    st.session_state[_ROUTED] = True
    return st.navigation({"": [start], **pages}, position="hidden")


def _draw_frame(sections: Mapping[str, Sequence[Entry]], page: str) -> None:
    st.logo(STATIC / "favicon.svg", size="large")
    st.html(STATIC / "page.css")
    with st.sidebar:
        links = st.container(key="pages", gap="xxsmall")
        sidebar(page)
    with links:
        _links(sections)


def _links(sections: Mapping[str, Sequence[Entry]]) -> None:
    """Lead to each page with what is chosen: streamlit's own links drop it, and writing it anew is a step for Back."""
    for section, entries in sections.items():
        st.caption(section)
        for entry in entries:
            st.page_link(page_path(entry.name), label=entry.title, icon=entry.icon, query_params=in_hand())
    st.html(STATIC / "page.html", unsafe_allow_javascript=True)
