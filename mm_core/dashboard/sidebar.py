"""What stands beside every page: the model and symbol in hand, unsaved edits, and news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from mm_core.dashboard.addresses import keep_in_address, page_path, take_from_address
from mm_core.dashboard.editor.kept import Place, drafts, take_typed
from mm_core.dashboard.editor.leaving import warn_when_leaving
from mm_core.dashboard.session import current_registry, errors_as_sentences
from mm_core.dashboard.words import plain
from mm_core.errors import ModelManagerError
from mm_core.registry import StoreView
from mm_core.registry.known_versions import versions_of
from mm_core.registry.version_lookups import is_held

_PICKED = "_model_manager_picked"


@dataclass(frozen=True, slots=True)
class Picked:
    """What the sidebar chose: None where nothing is registered, or where the model has no group.

    ``missed`` has a sentence for each thing that was wanted and is not there, ``theme`` is whether figures are drawn
    for a light or a dark page.
    """

    model_name: str | None
    symbol: str | None
    revision: int
    drawn_at: datetime
    missed: tuple[str, ...] = ()
    theme: str | None = None


def sidebar(page: str) -> None:
    """Draw the sidebar of a page and remember what it chose."""
    try:
        view = current_registry().view()
        names = tuple(model.name for model in view.models())
        model_name, no_model = _choice("Model", "model", names, _first_with_groups(view, names))
        scan = view.scan(model_name) if model_name is not None else None
        symbols = scan.symbols() if scan is not None else ()
        symbol, no_symbol = _choice("Symbol", "symbol", symbols, ignores_case=True)
    except ModelManagerError:
        st.session_state[_PICKED] = Picked(None, None, -1, datetime.now(UTC))
        return  # the page says it, where there is room
    missed = (*no_model, *no_symbol)
    drawn = Picked(model_name, symbol, view.revision, datetime.now(UTC), missed, st.context.theme.type)
    st.session_state[_PICKED] = drawn
    keep_in_address(page, in_hand())
    take_typed()
    _unsaved(view)
    warn_when_leaving(any(draft.cells for draft in drafts().values()))
    _news(drawn)


def picked() -> Picked:
    """Return what the sidebar of this run chose."""
    chosen: Picked = st.session_state[_PICKED]
    return chosen


def in_hand() -> dict[str, str]:
    """Return what the sidebar of this run chose, as the address names it."""
    chosen = picked()
    return {key: value for key, value in (("model", chosen.model_name), ("symbol", chosen.symbol)) if value is not None}


def pair_in_hand(groups: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """Return where the group in hand stands among two or more (model, symbol), and what it is best compared with.

    That is the same symbol in another model, else the group after it.
    """
    chosen = picked()
    mine = (chosen.model_name, chosen.symbol)
    first = groups.index(mine) if mine in groups else 0
    same = [at for at, (_, symbol) in enumerate(groups) if at != first and symbol == groups[first][1]]
    return first, same[0] if same else (first + 1) % len(groups)


def _first_with_groups(view: StoreView, names: Sequence[str]) -> str | None:
    """Return the model to begin with: most pages are about groups, and a root of versions alone has none."""
    summaries = ((name, view.scan_summary(name)) for name in names)
    return next((name for name, summary in summaries if summary is not None and summary.groups), None)


def _choice(
    label: str, key: str, options: Sequence[str], first: str | None = None, *, ignores_case: bool = False
) -> tuple[str | None, tuple[str, ...]]:
    """Return what is chosen, and a sentence where something else was wanted; nothing where there are no options."""
    if not options:
        return None, ()
    missed = take_from_address(key, options, first or options[0], ignores_case=ignores_case)
    chosen: str = st.selectbox(label, options, key=key)
    if missed is None:
        return chosen, ()
    return chosen, (f"There is no {label.lower()} '{missed[:128]}' here; this is {chosen}.",)


def _unsaved(view: StoreView) -> None:
    """Lead to each draft with edits; one that the editor does not offer can be dropped here."""
    for place, draft in list(drafts().items()):
        if not draft.cells:
            continue
        said = f"{place.model_name} {place.subject}: {len(draft.cells)} unsaved"
        try:
            trouble = _version_trouble(view, place) if place.label else _group_trouble(view, place)
        except ModelManagerError:  # what is kept of others can be read, and so can their pages
            trouble = "what is kept of it cannot be read now; the edits wait"
        if trouble is None:
            address = in_hand() | place.address
            st.page_link(page_path("config"), label=plain(said), icon=":material/edit:", query_params=address)
        else:
            st.warning(plain(f"{said}, but {trouble}."))
            st.button("Drop these edits", key="_".join(("drop", *filter(None, place))), on_click=_drop, args=(place,))


def _group_trouble(view: StoreView, place: Place) -> str | None:
    """Return why the editor does not offer a group, None where it does."""
    scan = view.scan(place.model_name)
    return None if scan is not None and scan.groups_of(place.subject) else "there is no such group now"


def _version_trouble(view: StoreView, place: Place) -> str | None:
    """Return why the editor does not offer a version under the name that the draft has for it, None where it does."""
    if not is_held(view, place.model_name, place.subject):
        return "there is no such version now"
    offered = [one for one in versions_of(view, place.model_name) if one.has_editable_normalizer]
    is_offered = (place.model_name, place.subject) in [(one.family, one.name) for one in offered]
    return None if is_offered else "this version cannot be edited now"


def _drop(place: Place) -> None:
    drafts().pop(place, None)


@st.fragment(run_every=5)
def _news(drawn: Picked) -> None:
    """Say what changed since the page was drawn, and leave the page as it is until its reader asks.

    Another theme is no news: streamlit recolours its own parts alone, so figures are drawn anew.
    """
    if st.context.theme.type != drawn.theme:
        st.rerun()
    with errors_as_sentences():
        registry = current_registry()
        revision = registry.view().revision
        if revision == drawn.revision:
            st.caption(f"State {revision} · up to date")
            return
        events = registry.events_since(drawn.drawn_at)
    lines = [
        f"- **{plain(' '.join(filter(None, (event.model_name, event.symbol))))}**: {plain(event.what)}"
        for event in events[:4]
    ]
    lines += [f"- and {len(events) - 4} more"] if len(events) > 4 else []
    st.info("Changed since this page was drawn:\n" + "\n".join(lines or ["- the state, now " + str(revision)]))
    if st.button("Show it", icon=":material/refresh:", key="show_news", type="primary", width="stretch"):
        st.rerun()
