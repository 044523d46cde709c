"""Tables and figures on a page, each with its text for screen readers and its export."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from mm_core import strict_json

CHART_CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"]}
WHEN = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC", help="UTC")
DAY = st.column_config.DatetimeColumn(format="YYYY-MM-DD", timezone="UTC", help="UTC")
ROW_PIXELS = 31
"""Height of a table's row at the font size of `.streamlit/config.toml`."""

TAU = st.column_config.NumberColumn(format="%+.4f")
SHARE = st.column_config.NumberColumn(format="percent")


def rows_height(rows: int, most: int = 560) -> int:
    """Return the height of a table of ``rows`` with its header, at most ``most`` pixels."""
    return min(ROW_PIXELS * (rows + 1) + 3, most)


def show_figure(figure: go.Figure, key: str, alt: str) -> None:
    """Draw a figure over the whole width; ``alt`` says in words what it shows."""
    st.plotly_chart(figure, width="stretch", key=key, config=CHART_CONFIG, alt=alt)


def show_table(
    table: pd.DataFrame, key: str, alt: str, *, config: Mapping[str, Any] | None = None, height: int | None = None
) -> None:
    """Show a table without its index, and offer exactly this as CSV and JSON."""
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height=height or "auto",
        key=key,
        alt=alt,
        column_config=dict(config or {}),
    )
    offer_exports(table, key)


def offer_exports(table: pd.DataFrame, name: str) -> None:
    """Offer a table as CSV and as JSON rows; the bytes are made when somebody asks for them."""
    with st.container(horizontal=True, gap="small"):
        for label, suffix, mime, make in (
            ("CSV", "csv", "text/csv", csv_bytes),
            ("JSON", "json", "application/json", json_bytes),
        ):
            st.download_button(
                label,
                partial(make, table),
                f"{name}.{suffix}",
                mime,
                key=f"{name}_{suffix}",
                icon=":material/download:",
                on_click="ignore",
                type="tertiary",
                help=f"These {len(table)} rows as {label}",
            )


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV; numbers keep every digit, times are ISO 8601."""
    return _plain(table).to_csv(index=False).encode()


def json_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as a JSON list of rows; what is missing or not finite is ``null``."""
    plain = _plain(table).astype(object)
    return strict_json.encode_for_people(plain.where(plain.notna(), None).to_dict("records"))


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    plain = table.copy()
    for name in table.select_dtypes(["datetime", "datetimetz", "timedelta"]):
        plain[name] = table[name].map(_iso, na_action="ignore").astype(object)
    return plain


def _iso(moment: pd.Timestamp | pd.Timedelta) -> str:
    return moment.isoformat()
