"""Register a directory: look first, then store. Refresh and delete what is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from mm_core.dashboard.dialogs import answered, ask, asked
from mm_core.dashboard.editor.kept import drafts
from mm_core.dashboard.page import now, refuse_after_rerun, say_after_rerun, show_refusal
from mm_core.dashboard.show import DAY, show_table
from mm_core.dashboard.tables.models import findings_in, findings_table, groups_table
from mm_core.dashboard.words import counted, plain
from mm_core.domain.findings import Severity
from mm_core.domain.groups import Scan
from mm_core.domain.models import checked_model_name
from mm_core.domain.versions import Version
from mm_core.errors import ModelManagerError
from mm_core.registry import Registry

Progress = Callable[[int, int], object]

_PREVIEW = "_model_manager_preview"
_DONE = "_model_manager_registered"
REGISTER, REFRESH, DELETE = "register", "refresh", "delete"


@dataclass(frozen=True, slots=True)
class Preview:
    """What registering a directory would find; ``predicting`` is how many of the versions can predict."""

    root_path: str
    groups: pd.DataFrame
    versions: int
    predicting: int
    findings: pd.DataFrame
    duplicates: dict[str, tuple[str, ...]]


def register_form(registry: Registry, known: list[str], *, expanded: bool) -> None:
    """Offer to look at a directory and to register what was found there."""
    if st.session_state.pop(_DONE, False):
        st.session_state.pop(_PREVIEW, None)
        st.session_state.update(register_path="", register_name="")
    with st.expander("Register a directory", icon=":material/create_new_folder:", expanded=expanded):
        left, right = st.columns([3, 1])
        root_path = left.text_input("Directory on this server", key="register_path", placeholder="/data/models/1m")
        name = right.text_input("Model name", key="register_name", placeholder="mid_chg_1m", help="What bots ask for")
        if st.button("Look at it", icon=":material/search:", key="register_look", disabled=not root_path.strip()):
            _look(registry, root_path)
        show_refusal(REGISTER)
        preview: Preview | None = st.session_state.get(_PREVIEW)
        if preview is None or preview.root_path != root_path:
            st.caption("Nothing is stored before you have seen what is there.")
            return
        _show_preview(preview)
        if name.strip() in known:
            st.warning(f"Model {plain(name.strip())} is registered already; it would get this directory instead.")
        if st.button(
            f"Register {_amount(len(preview.groups), preview.versions)}",
            icon=":material/add:",
            type="primary",
            key="register_store",
            disabled=not name.strip() or bool(preview.duplicates),
        ):
            _register(registry, name.strip(), root_path)


def model_actions(registry: Registry, name: str) -> None:
    """Offer to refresh or delete the model in hand."""
    with st.container(horizontal=True):
        if st.button(f"Refresh {plain(name)}", icon=":material/refresh:", key="refresh"):
            _with_progress(
                f"Reading changed groups of {name}", lambda progress: _refresh(registry, name, progress), REFRESH
            )
        if st.button(f"Delete {plain(name)} …", icon=":material/delete:", key="delete"):
            ask(DELETE, name)
    show_refusal(REFRESH)
    if asked(DELETE) is not None:
        _delete_dialog(registry, asked(DELETE))


def _look(registry: Registry, root_path: str) -> None:
    st.session_state.pop(_PREVIEW, None)

    def work(progress: Progress) -> None:
        scan = registry.registrations.preview(root_path, progress)
        st.session_state[_PREVIEW] = Preview(
            root_path,
            groups_table(scan.groups.values(), now()),
            len(scan.versions),
            sum(_can_predict(scan, version) for version in scan.versions.values()),
            findings_table(findings_in(scan)).drop(columns=["model", "code"]),
            scan.duplicate_symbols(),
        )

    _with_progress("Reading groups", work, REGISTER)


def _show_preview(preview: Preview) -> None:
    st.markdown(f"{_what_is_there(preview)}, {counted(len(preview.findings), 'finding')}. Nothing is stored yet.")
    if preview.duplicates:
        listed = "; ".join(f"{symbol}: {', '.join(keys)}" for symbol, keys in preview.duplicates.items())
        st.error(f"A symbol may have one group only. Keep one of each: {plain(listed)}")
    columns = ["symbol", "return", "ready", "dimension", "trees", "trained until", "errors", "warnings", "group"]
    if len(preview.groups):
        show_table(
            preview.groups[columns], "preview-groups", "Groups that would be registered", height=220,
            config={"trained until": DAY},
        )  # fmt: skip
    if len(preview.findings):
        show_table(preview.findings, "preview-findings", "Findings, errors first", height=180)


def _what_is_there(preview: Preview) -> str:
    """Return how many groups there are and are ready for bots, how many versions there are and can predict."""
    groups, versions, said = len(preview.groups), preview.versions, []
    if groups:
        ready = int((preview.groups["ready"] == "yes").sum())
        said.append(f"**{_amount(groups, 0)}**, {ready} of them ready for bots")
    if versions:
        said.append(f"**{_amount(0, versions)}**, {preview.predicting} of which can predict")
    return ", and ".join(said) or f"**{_amount(0, 0)}**"


def _can_predict(scan: Scan, version: Version) -> bool:
    """Return whether a version has a model, and no error of its own or beside others of its root."""
    shared = scan.twins_by_path.get(version.path, ())
    has_error = any(finding.severity is Severity.ERROR for finding in shared)
    return version.model is not None and version.can_predict and not has_error


def _register(registry: Registry, name: str, root_path: str) -> None:

    def work(progress: Progress) -> None:
        checked_model_name(name)
        registered = registry.registrations.register(name, root_path, progress)
        say_after_rerun(f"Registered {name} with {_amount_of(registered.scan)}.")
        st.session_state[_DONE] = True
        st.query_params["model"] = name

    _with_progress(f"Registering {name}", work, REGISTER)


def _refresh(registry: Registry, name: str, progress: Progress) -> None:
    registered = registry.registrations.refresh(name, progress)
    say_after_rerun(f"Refreshed {name}: {_amount_of(registered.scan)}.")


def _amount_of(scan: Scan) -> str:
    return _amount(len(scan.groups), len(scan.versions))


def _amount(groups: int, versions: int) -> str:
    """Return how many groups there are, and how many versions where there are some."""
    listed = [counted(groups, "group")] if groups or not versions else []
    return " and ".join([*listed, *([counted(versions, "version")] if versions else [])])


def _with_progress(what: str, work: Callable[[Progress], None], place: str) -> None:
    """Do long work with a bar that counts, then draw the page anew; keep its error as a sentence for that run."""
    bar = st.progress(0.0, what)
    try:
        work(lambda done, total: bar.progress(done / max(total, 1), f"{what}: {done} of {total}"))
    except ModelManagerError as error:
        refuse_after_rerun(place, error)
    st.rerun()


@st.dialog("Delete a model", on_dismiss=answered)
def _delete_dialog(registry: Registry, name: str) -> None:
    st.markdown(
        f"**{name}** with its factor configs and their history is forgotten, and bots that ask for it get 404 at once. "
        "The artifacts on disk stay as they are, and so does what was set for versions of families."
    )
    st.text_input(f"Type {name} to confirm", key="delete_confirm")
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Keep it", key="delete_keep", on_click=answered)
        deleted = st.button("Delete", type="primary", key="delete_now", on_click=_delete, args=(registry, name))
    if asked(DELETE) is None:
        st.rerun()  # a dialog runs alone: the page under it must run too
    if deleted:
        st.error(f"Nothing was deleted. Type {name} to confirm.")


def _delete(registry: Registry, name: str) -> None:
    if st.session_state.get("delete_confirm") != name:
        return
    answered()
    try:
        registry.registrations.delete(name)
    except ModelManagerError as error:
        refuse_after_rerun(REFRESH, error)
        return
    for key in [key for key in drafts() if key.model_name == name and not key.label]:
        del drafts()[key]
    say_after_rerun(f"Deleted {name}. Its artifacts are untouched.")
