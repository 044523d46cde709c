"""Addresses of pages, and choices that stand in them, so that a link shows what its sender saw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mm_core.dashboard.words import plain

PROJECT = Path(__file__).parent.parent.parent

_WRITTEN = "_model_manager_written"
_PAGE = "_model_manager_page"
_ARRIVED = "_model_manager_arrived"
_LINKED = "_model_manager_linked"


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


def choose(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    index: int = 0,
    noun: str | None = None,
    beside: str | None = None,
    place: DeltaGenerator | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> str:
    """Let a reader choose one of the options, kept in the address; say where an address asks for what is not there.

    It begins with the one at ``index``, which may be another one in each run: what is shown stays, and the address
    says it from then on. ``noun`` is what sentences call it, else the label in small letters. ``beside`` is the key of
    the choice that it makes a pair with: a link that names that one alone begins this one anew.
    """
    first, noun = options[index], noun or label.lower()
    asked, kept = st.query_params.get(key), st.session_state.get(key)
    is_new = take_link(key, options)
    wanted = asked if is_new else kept
    if wanted is not None and wanted not in options:
        if is_new or not arrived():
            st.warning(f"There is no {noun} '{plain(wanted[:300])}' here.")
        st.session_state[key] = first
    elif asked is None and arrived() and beside is not None and _asked().get(beside) is not None:
        st.session_state[key] = first
    elif asked is None and kept not in (None, first):
        st.session_state[key] = _asked()[key] = kept  # what is set is written into the address
    chosen: str = (place or st).selectbox(label, options, index=index, key=key, bind="query-params", width=width)
    return chosen


def take_link(key: str, options: Collection[str]) -> bool:
    """Set a bound widget to what a link asks for, before the widget in every run; return whether one asks anew.

    Streamlit overlooks what an address asks for where that is what the widget begins with, and where the link stood on
    the same page: it shows what was chosen before, and takes the link's word out of the address.
    """
    asked, before = st.query_params.get(key), _asked().get(key)
    _asked()[key] = asked
    is_new = asked is not None and (asked != before or arrived())
    if is_new and asked in options:
        st.session_state[key] = asked
    return is_new


def _asked() -> dict[str, str | None]:
    """Return what stood in the address for each widget in the last run that had it."""
    asked: dict[str, str | None] = st.session_state.setdefault(_LINKED, {})
    return asked


def _as_offered(wanted: str | None, options: Sequence[str]) -> str | None:
    """Return what is wanted as the options spell it, as it is where they do not have it."""
    if wanted is None or wanted in options:
        return wanted
    return next((option for option in options if option.casefold() == wanted.casefold()), wanted)
