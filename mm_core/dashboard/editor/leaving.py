"""A warning when the browser is about to leave with unsaved edits."""

from __future__ import annotations

import streamlit as st

_SCRIPT = """<script>
window.modelManagerUnsaved = %s;
if (!window.modelManagerGuard) {
  window.modelManagerGuard = true;
  window.addEventListener("beforeunload", (event) => {
    if (window.modelManagerUnsaved) { event.preventDefault(); event.returnValue = ""; }
  });
}
</script>"""


def warn_when_leaving(unsaved: bool) -> None:
    """Let the browser ask before it closes or reloads the page; streamlit itself has no such thing."""
    st.html(_SCRIPT % ("true" if unsaved else "false"), unsafe_allow_javascript=True)
