"""Move a version to another status: what it does to itself and to what is deployed, then the move."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from mm_core.dashboard.dialogs import answered, ask, asked
from mm_core.dashboard.page import refuse_after_rerun, say_after_rerun, show_refusal
from mm_core.dashboard.sections.choosing_versions import STATUS_LOOKS
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.words import plain
from mm_core.domain.lifecycle import LEGAL_MOVES, Status
from mm_core.domain.version_records import VersionRecord
from mm_core.errors import ModelManagerError
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import LONGEST_ACTOR, LONGEST_NOTE, Author
from mm_core.registry.move_plans import DEMOTIONS, MovePlan

MOVE = "move"
WHO = "_model_manager_who"
"""Where a session keeps who it is: asked once."""

MEANS = {
    Status.TRAINING: "It is in training: nothing runs it.",
    Status.VALIDATED: "Its figures were looked at: nothing runs it yet.",
    Status.SHADOW: "It predicts and is logged; what it says does not count.",
    Status.DEPLOYED: "It predicts, and what it says counts.",
    Status.DEPRECATED: "It is out of use: nothing runs it.",
}


class Move(NamedTuple):
    """One way on from a status: what its button says, and what it leads to."""

    label: str
    icon: str
    status: Status


class Asked(NamedTuple):
    """What the dialog is about: the record as it was when it opened, and the status that it would get."""

    record: VersionRecord
    status: Status


def ways_on(record: VersionRecord) -> tuple[Move, ...]:
    """Return the moves that are legal from where a version stands."""
    return tuple(
        Move(_label(record.status, status), STATUS_LOOKS[status][0], status) for status in LEGAL_MOVES[record.status]
    )


def offer_moves(record: VersionRecord) -> None:
    """Offer every legal move; call it in a horizontal container."""
    for move in ways_on(record):
        st.button(
            f"{move.label} …",
            icon=move.icon,
            key=f"move_{move.status}",
            type="primary" if move.status is Status.DEPLOYED else "secondary",
            on_click=ask,
            args=(MOVE, Asked(record, move.status)),
        )


def moving(registry: Registry, record: VersionRecord) -> None:
    """Show the dialog of a move that was asked for, and what kept the one before from being made."""
    show_refusal(MOVE)
    about: Asked | None = asked(MOVE)
    if about is not None and about.record.model_id == record.model_id:
        _dialog(registry, about)


@st.dialog("Move a version", width="medium", on_dismiss=answered)
def _dialog(registry: Registry, about: Asked) -> None:
    record, status = about
    demote_to = Status.SHADOW
    with errors_as_sentences():
        plan = registry.lifecycle.plan_move(record, status)
    st.markdown(f"**{plain(record.title)}**: {record.status} → **{status}**. {MEANS[status]}")
    if plan.replaced is not None:
        demote_to = Status(
            st.segmented_control(
                f"{plain(plan.replaced.model_version)} is deployed now and becomes",
                list(map(str, DEMOTIONS)),
                default=str(Status.SHADOW),
                key="move_demote_to",
                required=True,
            )
        )
        st.warning(
            f"**{plain(plan.replaced.title)}** is demoted by this: deployed → **{demote_to}**. {MEANS[demote_to]} Both "
            "happen in one step.",
            icon=":material/swap_vert:",
        )
    elif status is Status.DEPLOYED:
        st.info("Nothing of this model is deployed now, so nothing is demoted.", icon=":material/info:")
    elif record.status is Status.DEPLOYED:
        st.warning(
            f"Nothing of **{plain(record.model_name)}** is deployed afterwards: promote another version instead if one "
            "should take its place.",
            icon=":material/warning:",
        )
    force = False
    if plan.problems:
        st.error("It cannot predict:", icon=":material/block:")
        st.text("\n".join(plan.problems[:5]))
        force = st.checkbox("Deploy it all the same", key="move_force")
    ask_who_and_why("move")
    with st.container(horizontal=True, horizontal_alignment="right"):
        left = st.button("Leave it", key="move_cancel", on_click=answered)
        moved = st.button(
            _label(record.status, status),
            type="primary",
            key="move_now",
            disabled=bool(plan.problems) and not force,
            on_click=_move,
            args=(registry, replace(plan, demote_to=demote_to), force),
        )
    if left or asked(MOVE) is None:
        st.rerun()  # a dialog runs alone: the page under it must run too
    if moved:
        st.error("Nothing was changed. Say who you are and why: both are kept in the history.")


def _move(registry: Registry, plan: MovePlan, force: bool) -> None:
    who, why = st.session_state.get("move_who", ""), st.session_state.get("move_note", "")
    if not who.strip() or not why.strip():
        return
    answered()
    st.session_state[WHO] = who
    try:
        record = registry.lifecycle.carry_out(plan, Author(who, why), force=force)
    except ModelManagerError as error:
        refuse_after_rerun(MOVE, error)
        return
    st.session_state.pop("move_note", None)
    beside = f"; {plan.replaced.model_version} is {plan.demote_to}" if plan.replaced is not None else ""
    say_after_rerun(f"{record.title} is {record.status} now{beside}.")


def _label(before: Status, after: Status) -> str:
    if before is Status.DEPLOYED and after is Status.SHADOW:
        return "Demote to shadow"
    if before is Status.DEPRECATED:
        return "Restore"
    return {
        Status.VALIDATED: "Validate",
        Status.SHADOW: "Run as shadow",
        Status.DEPLOYED: "Promote",
        Status.DEPRECATED: "Deprecate",
        Status.TRAINING: "Train",
    }[after]


def ask_who_and_why(prefix: str) -> None:
    """Ask for the name and the reason that the history keeps, by the widgets ``prefix_who`` and ``prefix_note``."""
    st.text_input(
        "Who are you?",
        st.session_state.get(WHO, ""),
        key=f"{prefix}_who",
        max_chars=LONGEST_ACTOR,
        placeholder="your name",
    )
    reason = min(LONGEST_NOTE, 500)
    st.text_input("Why?", key=f"{prefix}_note", max_chars=reason, placeholder="kept in the history for good")
