"""The overview's parts: counts, models, what bots cannot be served, what changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from mm_core.dashboard.addresses import page_path
from mm_core.dashboard.page import now
from mm_core.dashboard.session import errors_as_sentences
from mm_core.dashboard.show import (
    DAY,
    WHEN,
    Metric,
    choose_row,
    metric_wall,
    offer_exports,
    rows_height,
    show_table,
)
from mm_core.dashboard.tables.models import models_table, unserved
from mm_core.dashboard.words import counted, plain
from mm_core.domain.groups import Scan
from mm_core.domain.models import RegisteredModel
from mm_core.evaluation.training import STALE_DAYS
from mm_core.registry import Registry

SEEN_COOKIE = "model_manager_seen"
_SINCE = "_model_manager_since"
FIRST_LOOK_DAYS = 7
LOOK_MINUTES = 30
MOST_NAMED = 6


def counts(table: pd.DataFrame) -> None:
    """Show the counts of all models together."""
    groups, ready, stale = (int(table[name].sum()) for name in ("groups", "ready for bots", "stale"))
    errors, warnings = int(table["errors"].sum()), int(table["warnings"].sum())
    metric_wall(
        Metric("Models", len(table)),
        Metric("Groups", groups),
        Metric("Ready for bots", f"{ready} of {groups}"),
        Metric("Stale", stale, f"Trained until {STALE_DAYS} or more days ago"),
        Metric("Findings", errors + warnings, f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"),
    )


def models(loaded: list[tuple[RegisteredModel, Scan]]) -> pd.DataFrame:
    """Show one row a model; a click on a row opens its symbols, or its versions where it has those alone."""
    table = models_table(loaded, now())
    counts(table)
    name = choose_row(
        table, "models", "Registered models with their counts, freshness and last scan", names=table["model"].tolist(),
        order=[
            "model", "groups", "ready for bots", "versions", "factors", "mean |τ|", "trained until", "stale", "errors",
            "warnings", "last scan", "symbols", "notes", "directory",
        ],
        config={
            "last scan": WHEN,
            "trained until": DAY,
            "mean |τ|": st.column_config.NumberColumn(format="%.4f"),
            "ready for bots": st.column_config.NumberColumn(help="Groups whose payload bots can pull"),
            "stale": st.column_config.NumberColumn(help=f"Trained until {STALE_DAYS} or more days ago"),
        },
    )  # fmt: skip
    if name is not None:
        row = table[table["model"] == name]
        if row["versions"].any() and not row["groups"].any():
            st.switch_page(page_path("versions"), query_params={"model": name, "q": name})
        st.switch_page(page_path("symbols"), query_params={"model": name})
    offer_exports(table, "models")
    return table


def cannot_be_served(loaded: list[tuple[RegisteredModel, Scan]]) -> None:
    """Name each group that bots cannot be given, with the reason and the way to it."""
    lost = unserved(loaded)
    for model_name, group, reason in lost[:MOST_NAMED]:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge("Bots get 404", icon=":material/block:", color="red")
                st.page_link(
                    page_path("group"),
                    label=plain(f"{model_name} {group.symbol}"),
                    query_params={"model": model_name, "symbol": group.symbol, "tab": "Findings"},
                )
            st.markdown(plain(reason))
    if len(lost) > MOST_NAMED:
        st.page_link(
            page_path("service"),
            label=f"{len(lost) - MOST_NAMED} more groups cannot be served",
            icon=":material/block:",
        )


def changes(registry: Registry) -> None:
    """Show what changed since the reader's last look at this page, as their browser remembers it."""
    since, title = _last_look()
    st.subheader(title)
    with errors_as_sentences():
        events = registry.events_since(since)
    if not events:
        st.caption("Nothing changed.")
        return
    table = pd.DataFrame(
        {
            "at": pd.to_datetime([event.at for event in events], utc=True),
            "model": [event.model_name for event in events],
            "symbol": [event.symbol or "" for event in events],
            "what": [event.what for event in events],
        }
    )
    show_table(
        table, "changes", "Changes, the newest first", height=rows_height(len(table), 260),
        config={"at": WHEN, "what": st.column_config.TextColumn(width="large")},
    )  # fmt: skip


def _last_look() -> tuple[datetime, str]:
    """Return since when to tell, and the title that says so; note this look in the browser.

    The browser keeps two moments: when the look before this one ended, and when somebody looked last. A look lasts
    until nobody has looked for half an hour, so that a reload or a second tab tells the same.
    """
    if _SINCE not in st.session_state:
        kept = str(st.context.cookies.get(SEEN_COOKIE, "")).partition("/")
        since, last = _moment(kept[0]), _moment(kept[2])
        if last is not None and now() - last > timedelta(minutes=LOOK_MINUTES):
            since = last
        st.session_state[_SINCE] = since
        stamp = f"{since.isoformat(timespec='seconds') if since else ''}/{now().isoformat(timespec='seconds')}"
        st.html(
            f"<script>document.cookie = '{SEEN_COOKIE}={stamp}; max-age=31536000; path=/; SameSite=Lax'</script>",
            unsafe_allow_javascript=True,
        )
    since = st.session_state[_SINCE]
    if since is None:
        return now() - timedelta(days=FIRST_LOOK_DAYS), f"What changed in the last {FIRST_LOOK_DAYS} days"
    return since, f"What changed since your last look ({since:%Y-%m-%d %H:%M} UTC)"


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
