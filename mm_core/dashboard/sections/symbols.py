"""The table of a model's groups, with its search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import streamlit as st

from mm_core.dashboard.addresses import page_path
from mm_core.dashboard.show import DAY, choose_row, of_kinds, offer_exports
from mm_core.dashboard.words import counted
from mm_core.domain.groups import Scan
from mm_core.evaluation.training import Freshness, TrainingWindow, freshness, training_window


def filtered(table: pd.DataFrame, scan: Scan) -> pd.DataFrame:
    """Return the rows that search and filters ask for; both stand in the address. ``scan`` has the rows' factors."""
    left, middle, right = st.columns([2, 2, 1.4])
    text = left.text_input(
        "Search", key="q", bind="query-params", placeholder="symbol, return, factor", icon=":material/search:"
    )
    table = of_kinds(table, "freshness", Freshness, "age", middle)
    only = right.pills("Bots", ["ready", "not ready"], key="bots", bind="query-params")
    wanted = text.strip().casefold()
    if wanted:
        hit = table["group"].isin(_with_factor(scan, wanted))
        for column in ("symbol", "return", "group"):
            hit |= table[column].str.casefold().str.contains(wanted, regex=False)
        table = table[hit]
    if only:
        table = table[table["ready"] == ("yes" if only == "ready" else "no")]
    return table


def groups(table: pd.DataFrame, model_name: str) -> None:
    """Show the groups; a click on a row opens its group."""
    largest = float(table["mean |τ|"].max()) if table["mean |τ|"].notna().any() else 1.0
    symbol = choose_row(
        table, "groups", "Groups with dimension, training window, samples, trees, readiness and strongest factors",
        names=table["symbol"].tolist(),
        order=[
            "symbol", "return", "ready", "dimension", "trees", "samples", "trained until", "age in days", "freshness",
            "mean |τ|", "top factors", "strongest", "errors", "warnings", "trained from", "group",
        ],
        config={
            "symbol": st.column_config.TextColumn(pinned=True),
            "ready": st.column_config.TextColumn(width="small", help="Whether bots can pull a payload"),
            "trained from": DAY,
            "trained until": DAY,
            "samples": st.column_config.NumberColumn(format="localized"),
            "mean |τ|": st.column_config.ProgressColumn(format="%.4f", min_value=0, max_value=largest or 1.0),
            "top factors": st.column_config.BarChartColumn(
                y_min=0, y_max=1, help="The eight largest: by importance of the training info, else by |τ|"
            ),
        },
    )  # fmt: skip
    if symbol is not None:
        st.switch_page(page_path("group"), query_params={"model": model_name, "symbol": symbol})
    st.caption(f"{counted(len(table), 'group')}. Click the box of a row to open it.")
    offer_exports(table, f"{model_name}-groups")


def _with_factor(scan: Scan, wanted: str) -> list[str]:
    """Return the keys of the groups with a factor that has ``wanted`` in its name, which is given in lower case."""
    found = {name for name in scan.factor_union() if wanted in name.casefold()}
    return [key for key, group in scan.groups.items() if not found.isdisjoint(group.factors.names)]


def windows(scan: Scan, group_keys: Sequence[str], now: datetime) -> list[tuple[str, TrainingWindow, Freshness]]:
    """Return label, training window and freshness of groups, the freshest first."""
    rows = []
    for key in group_keys:
        group = scan.groups[key]
        window = training_window(group.training)
        rows.append((f"{group.symbol} {group.return_name}", window, freshness(window.age_days(now))))
    return sorted(rows, key=lambda row: (row[1].end is None, -(row[1].end.timestamp() if row[1].end else 0), row[0]))
