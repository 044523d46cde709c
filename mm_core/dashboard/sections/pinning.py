"""Pin a version, so that no cleanup takes it, or take the pin off again."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from mm_core.dashboard.dialogs import answered, ask, asked
from mm_core.dashboard.page import refuse_after_rerun, say_after_rerun, show_refusal
from mm_core.dashboard.sections.moving import WHO, ask_who_and_why
from mm_core.dashboard.words import plain
from mm_core.domain.version_records import VersionRecord
from mm_core.errors import ModelManagerError
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import Author

PIN = "pin"


class Asked(NamedTuple):
    """What the dialog is about: the record as it was when it opened, and whether it would be pinned."""

    record: VersionRecord
    pinned: bool


def offer_pin(record: VersionRecord) -> None:
    """Offer the pin, or to take it off."""
    st.button(
        "Unpin …" if record.pinned else "Pin …",
        icon=":material/keep_off:" if record.pinned else ":material/keep:",
        key="pin",
        on_click=ask,
        args=(PIN, Asked(record, not record.pinned)),
    )


def pinning(registry: Registry, record: VersionRecord) -> None:
    """Show the dialog about the pin where it was asked for, and what kept the change before from being made."""
    show_refusal(PIN)
    about: Asked | None = asked(PIN)
    if about is not None and about.record.model_id == record.model_id:
        _dialog(registry, about)


@st.dialog("Keep a version from cleanups", on_dismiss=answered)
def _dialog(registry: Registry, about: Asked) -> None:
    record, pinned = about
    if pinned:
        st.markdown(f"**{plain(record.title)}** becomes pinned: no cleanup takes it until somebody takes the pin off.")
    elif record.status.runs:
        st.markdown(f"**{plain(record.title)}** loses its pin. It is {record.status}: no cleanup takes it yet.")
    else:
        st.warning(
            f"**{plain(record.title)}** loses its pin: the next cleanup may delete its files.",
            icon=":material/warning:",
        )
    ask_who_and_why("pin")
    with st.container(horizontal=True, horizontal_alignment="right"):
        left = st.button("Leave it", key="pin_cancel", on_click=answered)
        done = st.button(
            "Pin" if pinned else "Unpin", type="primary", key="pin_now", on_click=_pin, args=(registry, about)
        )
    if left or asked(PIN) is None:
        st.rerun()  # a dialog runs alone: the page under it must run too
    if done:
        st.error("Nothing was changed. Say who you are and why: both are kept in the history.")


def _pin(registry: Registry, about: Asked) -> None:
    who, why = st.session_state.get("pin_who", ""), st.session_state.get("pin_note", "")
    if not who.strip() or not why.strip():
        return
    answered()
    st.session_state[WHO] = who
    try:
        record = registry.lifecycle.set_pinned(about.record, about.pinned, Author(who, why))
    except ModelManagerError as error:
        refuse_after_rerun(PIN, error)
        return
    st.session_state.pop("pin_note", None)
    say_after_rerun(f"{record.title} is {'pinned' if record.pinned else 'not pinned any more'}.")
