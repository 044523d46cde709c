"""Addresses of pages, and choices that stand in them, so that a link shows what its sender saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

PROJECT = Path(__file__).parent.parent.parent

_WRITTEN = "_model_manager_written"
_PAGE = "_model_manager_page"
_ARRIVED = "_model_manager_arrived"


def page_path(name: str) -> Path:
    """Return the file of a page, as `streamlit.switch_page` and page links want it."""
    return PROJECT / "pages" / f"{name}.py"


def take_from_address(key: str, options: Sequence[str], first: str, *, ignores_case: bool = False) -> str | None:
    """Set the widget ``key`` of every page to what the address asks for; return what is wanted and not there.

    Where nothing is asked for, or not to be had, it is set to ``first``. With ``ignores_case``, what differs from an
    option in case alone is that option.

    Streamlit's own binding refuses `streamlit.switch_page` while a widget of the frame is bound. So the address counts
    where it differs from what was written there last, which is how links, back and forward change it. What was chosen
    before and is gone now is wanted too.
    """
    written, asked = st.session_state.setdefault(_WRITTEN, {}).get(key), st.query_params.get(key)
    before, asked = (_as_offered(wanted, options) if ignores_case else wanted for wanted in (written, asked))
    if asked is not None and asked != before:
        st.session_state[key] = asked if asked in options else first
        return None if asked in options else asked
    if st.session_state.get(key) in options:
        return None
    st.session_state[key] = before if before in options else first
    return None if before is None or before in options else before


def keep_in_address(page: str, choices: Mapping[str, str]) -> None:
    """Write choices into the address when they change and when the reader arrives at a page.

    Not at every run: each writing is a step of the browser's history, and Back would never get past it.
    """
    st.session_state[_ARRIVED] = st.session_state.get(_PAGE) != page
    missing = {key: value for key, value in choices.items() if st.query_params.get(key) != value}
    if missing and (arrived() or st.session_state.get(_WRITTEN) != choices):
        st.query_params.update(missing)
    st.session_state[_PAGE] = page
    st.session_state[_WRITTEN] = dict(choices)


def arrived() -> bool:
    """Return whether this run is the reader's first on this page since they came from another one."""
    return bool(st.session_state.get(_ARRIVED, True))


def _as_offered(wanted: str | None, options: Sequence[str]) -> str | None:
    """Return what is wanted as the options spell it, as it is where they do not have it."""
    if wanted is None or wanted in options:
        return wanted
    return next((option for option in options if option.casefold() == wanted.casefold()), wanted)
