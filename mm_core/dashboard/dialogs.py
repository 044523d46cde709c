"""The one dialog that may stand open: opened by a flag, acted on in callbacks, gone with the page."""

from __future__ import annotations

from typing import Any

import streamlit as st

_ASKED = "_model_manager_asked"


def ask(what: str, about: Any) -> None:
    """Open the dialog ``what`` about a value in this session's next run."""
    st.session_state[_ASKED] = (what, about)


def asked(what: str) -> Any:
    """Return what the dialog ``what`` is about, None where it is not open."""
    found: tuple[str, Any] | None = st.session_state.get(_ASKED)
    return found[1] if found is not None and found[0] == what else None


def answered() -> None:
    """Close whatever dialog is open."""
    st.session_state.pop(_ASKED, None)
