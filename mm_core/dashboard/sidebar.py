"""What stands beside every page: the model and symbol in hand, unsaved edits, and news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from mm_core.dashboard.addresses import keep_in_address, take_from_address
from mm_core.dashboard.editor.kept import drafts, take_typed
from mm_core.dashboard.editor.leaving import warn_when_leaving
from mm_core.dashboard.session import current_registry, errors_as_sentences
from mm_core.dashboard.words import plain
from mm_core.errors import ModelManagerError

_PICKED = "_model_manager_picked"


@dataclass(frozen=True, slots=True)
class Picked:
    """What the sidebar chose: None where nothing is registered, or where the model has no group."""

    model_name: str | None
    symbol: str | None
    revision: int
    drawn_at: datetime


def sidebar() -> None:
    """Draw the sidebar and remember what it chose."""
    try:
        view = current_registry().view()
        names = [model.name for model in view.models()]
        model_name = _choice("Model", "model", names) if names else None
        scan = view.scan(model_name) if model_name is not None else None
        symbols = scan.symbols() if scan is not None else ()
        symbol = _choice("Symbol", "symbol", symbols) if symbols else None
    except ModelManagerError:
        st.session_state[_PICKED] = Picked(None, None, -1, datetime.now(UTC))
        return  # the page says it, where there is room
    st.session_state[_PICKED] = picked = Picked(model_name, symbol, view.revision, datetime.now(UTC))
    take_typed()
    _unsaved()
    warn_when_leaving(any(draft.cells for draft in drafts().values()))
    _news(picked)


def picked() -> Picked:
    """Return what the sidebar of this run chose."""
    chosen: Picked = st.session_state[_PICKED]
    return chosen


def pair_in_hand(groups: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """Return where the group in hand stands among two or more (model, symbol), and what it is best compared with.

    That is the same symbol in another model, else the group after it.
    """
    chosen = picked()
    mine = (chosen.model_name, chosen.symbol)
    first = groups.index(mine) if mine in groups else 0
    same = [at for at, (_, symbol) in enumerate(groups) if at != first and symbol == groups[first][1]]
    return first, same[0] if same else (first + 1) % len(groups)


def _choice(label: str, key: str, options: list[str] | tuple[str, ...]) -> str:
    missed = take_from_address(key, options)
    chosen: str = st.selectbox(label, options, key=key)
    keep_in_address(key, chosen)
    if missed is not None:
        st.warning(f"There is no {label.lower()} '{plain(missed[:128])}' here; this is {plain(chosen)}.")
    return chosen


def _unsaved() -> None:
    for (model_name, symbol), draft in drafts().items():
        if draft.cells:
            st.caption(f":material/edit: **{plain(model_name)} {plain(symbol)}**: {len(draft.cells)} unsaved")


@st.fragment(run_every=5)
def _news(drawn: Picked) -> None:
    """Say what changed since the page was drawn, and leave the page as it is until its reader asks."""
    with errors_as_sentences():
        registry = current_registry()
        revision = registry.view().revision
        if revision == drawn.revision:
            st.caption(f"State {revision} · up to date")
            return
        events = registry.events_since(drawn.drawn_at)
    lines = [
        f"- **{plain(f'{event.model_name} {event.symbol or str()}'.strip())}** {plain(event.what)}"
        for event in events[:4]
    ]
    lines += [f"- and {len(events) - 4} more"] if len(events) > 4 else []
    st.info("Changed since this page was drawn:\n" + "\n".join(lines or ["- the state, now " + str(revision)]))
    if st.button("Show it", icon=":material/refresh:", key="show_news", type="primary", width="stretch"):
        st.rerun()
