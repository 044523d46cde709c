"""Tidy a managed root of training runs: the plan first, then, once somebody confirms it, the deletion."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mm_core.dashboard.addresses import choose
from mm_core.dashboard.dialogs import answered, ask, asked
from mm_core.dashboard.page import refuse_after_rerun, say_after_rerun, show_refusal
from mm_core.dashboard.sections.versions import BYTES, size_text
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import Metric, metric_wall, rows_height, show_table
from mm_core.dashboard.words import counted, error_sentence, plain
from mm_core.errors import ModelManagerError, RootNotManaged
from mm_core.registry import Registry
from mm_core.registry.run_roots import CleanupPlan

CLEANUP = "cleanup"
KEEP = 5
_LEFT = "_model_manager_cleanup_left"


def cleanup(registry: Registry) -> None:
    """Show what a cleanup of a root would take, what would stay and why; confirming carries it out."""
    with errors_as_sentences():
        roots = registry.run_roots.roots()
    show_refusal(CLEANUP)
    for sentence in st.session_state.pop(_LEFT, ()):
        st.warning(plain(sentence))
    if not roots:
        st.info(
            "No registered root holds training runs. A cleanup is for directories such as `models/20250724_150837`; "
            "versions such as `v1.1.0` are never removed here."
        )
        return
    left, right = st.columns([3, 1])
    by_path = {str(one.path): one for one in roots}
    chosen = by_path[choose("Root", list(by_path), "root", place=left)]
    keep = int(right.number_input("Keep the newest", 1, 1000, KEEP, key="keep", bind="query-params"))
    st.caption(
        f"{counted(chosen.runs, 'run')}, {size_text(chosen.size_bytes)}, registered as "
        f"{plain(', '.join(chosen.registrations))}."
    )
    try:
        plan = registry.run_roots.plan_cleanup(chosen.path, keep)
    except RootNotManaged as error:
        st.info(plain(error.detail), icon=":material/lock:")
        return
    except ModelManagerError as error:
        st.error(error_sentence(error))
        return
    _show(plan)
    count = len(plan.removals)
    st.button(
        f"Delete {counted(count, 'run')} …" if count or not plan.leftovers else "Remove what is left over …",
        icon=":material/delete_sweep:",
        key="cleanup",
        disabled=not plan.removals and not plan.leftovers,
        on_click=ask,
        args=(CLEANUP, plan),
    )
    shown: CleanupPlan | None = asked(CLEANUP)
    if shown is not None:
        _confirm(registry, shown)


def plan_table(plan: CleanupPlan) -> pd.DataFrame:
    """Return one row for each run and each leftover: what becomes of it, and why."""
    rows: list[tuple[str, str, int | None, str]] = [
        (one.version, "goes", one.size_bytes, "It is not among the newest, and nothing speaks for it.")
        for one in plan.removals
    ]
    rows += [(one.path, "goes", one.size_bytes, "A process that is gone left it unfinished.") for one in plan.leftovers]
    rows += [(one.version, "stays", None, one.reason) for one in plan.protected]
    rows += [
        (version, "stays", None, "It is the newest." if plan.keep == 1 else f"It is one of the newest {plan.keep}.")
        for version in plan.kept
    ]
    return pd.DataFrame(rows, columns=["run", "plan", "bytes", "why"]).astype({"bytes": "Int64"})


def _show(plan: CleanupPlan) -> None:
    metric_wall(
        Metric("Would go", len(plan.removals), "Runs beyond the newest that nothing speaks for"),
        Metric("Protected", len(plan.protected), "Beyond the newest, kept for a reason"),
        Metric("Newest", len(plan.kept), f"The newest {plan.keep} with a model, and what lies between them"),
        Metric("Left over", len(plan.leftovers), "What processes left unfinished that are gone"),
        Metric("Would be free", size_text(plan.size_bytes)),
    )
    table = plan_table(plan)
    show_table(
        table, "cleanup-plan", "What would go, what would stay, and why", height=rows_height(len(table), 420),
        config={"bytes": BYTES, "why": st.column_config.TextColumn(width="large")},
    )  # fmt: skip
    if not plan.removals and not plan.leftovers:
        st.caption("Nothing to clean up.")


@st.dialog("Delete training runs", width="large", on_dismiss=answered)
def _confirm(registry: Registry, plan: CleanupPlan) -> None:
    left_over = f" and {counted(len(plan.leftovers), 'thing')} left over there" if plan.leftovers else ""
    st.markdown(
        f"**{counted(len(plan.removals), 'run')}** below {plain(str(plan.root))}{left_over}, "
        f"{size_text(plan.size_bytes)} together, are deleted from disk. **This cannot be undone.** Each is looked at "
        "again first; whatever is deployed, a shadow, pinned or latest by then stays."
    )
    going = plan_table(plan)
    going = going[going["plan"] == "goes"]
    show_table(going, "cleanup-going", "What is deleted", height=rows_height(len(going), 320), config={"bytes": BYTES})
    with st.container(horizontal=True, horizontal_alignment="right"):
        left = st.button("Keep them", key="cleanup_keep", on_click=answered)
        deleted = st.button("Delete", type="primary", key="cleanup_now", on_click=_delete, args=(registry, plan))
    if left or deleted:
        st.rerun()  # a dialog runs alone: the page under it must run too


def _delete(registry: Registry, plan: CleanupPlan) -> None:
    answered()
    try:
        done = registry.run_roots.clean_up(plan)
    except ModelManagerError as error:
        refuse_after_rerun(CLEANUP, error)
        return
    removed = done.removed
    say_after_rerun(f"Deleted {counted(len(removed.versions), 'run')}, {size_text(removed.freed_bytes)} are free.")
    st.session_state[_LEFT] = [
        *(f"{one.version} stays: {one.reason}" for one in removed.stayed),
        *(f"In the trash: {sentence}" for sentence in removed.in_trash),
        *(f"{name} could not be read anew: {why}" for name, why in done.unread.items()),
    ]
