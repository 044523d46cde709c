"""Tables and figures on a page, each with its text for screen readers and its export."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mm_core import strict_json
from mm_core.dashboard.addresses import take_link
from mm_core.dashboard.words import plain
from mm_core.spelling import visible

CHART_CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"]}
WHEN = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC", help="UTC")
DAY = st.column_config.DatetimeColumn(format="YYYY-MM-DD", timezone="UTC", help="UTC")
MISSING = "–"
PORTION = 40
LONGEST_OF_A_COLUMN = 11
"""Letters of a figure that fit into one of six columns; a run is called by fifteen."""

_DRAWN = "_model_manager_rows_of_"
ROW_PIXELS = 31
"""Height of a table's row at the font size of `.streamlit/config.toml`."""

TAU = st.column_config.NumberColumn(format="%+.4f")
CHANGE = st.column_config.NumberColumn(format="%+.6g")
SHARE = st.column_config.NumberColumn(format="percent")


_MAY_RUN = re.compile(r"[=+\-@\t\n＝＋－＠]")
"""How cells begin that a sheet takes for formulas, full width included: some sheets read those alike."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Metric(NamedTuple):
    """One figure of a wall; ``value`` None where it is not known."""

    label: str
    value: str | int | None
    help: str | None = None
    delta: str | None = None
    delta_color: Literal["normal", "inverse", "off"] = "normal"


def rows_height(rows: int, most: int = 560) -> int:
    """Return the height of a table of ``rows`` with its header, at most ``most`` pixels."""
    return min(ROW_PIXELS * (rows + 1) + 3, most)


def metric_wall(*metrics: Metric) -> None:
    """Show figures side by side, each in a frame; a long one has the room of two."""
    widths = [2 if len(str(one.value)) > LONGEST_OF_A_COLUMN else 1 for one in metrics]
    for column, one in zip(st.columns(widths), metrics, strict=True):
        value = plain(one.value) if isinstance(one.value, str) else one.value
        hint = plain(one.help) if one.help is not None else None
        column.metric(plain(one.label), value, one.delta, delta_color=one.delta_color, help=hint, border=True)


def draw_open_tab(sides: Mapping[str, Callable[[], None]], key: str) -> None:
    """Offer a tab for each side and draw the open one: the others cost nothing until somebody looks."""
    take_link(key, sides)
    for tab, draw in zip(
        st.tabs(list(sides), key=key, bind="query-params", on_change="rerun"), sides.values(), strict=True
    ):
        if tab.open:
            with tab:
                draw()


def choose_portion(count: int, key: str, first: str, last: str) -> slice:
    """Ask which of many rows a figure draws: a figure of hundreds takes the browser a second, and nobody reads it."""
    if count <= PORTION:
        return slice(None)
    names = {
        f"{PORTION} {first}": slice(PORTION),
        f"{PORTION} {last}": slice(-PORTION, None),
        f"all {count}": slice(None),
    }
    chosen = st.segmented_control(
        "Draw", list(names), default=next(iter(names)), key=key, bind="query-params", required=True
    )
    return names[chosen]


def show_figure(figure: go.Figure, key: str, alt: str) -> None:
    """Draw a figure over the whole width; ``alt`` says in words what it shows."""
    st.plotly_chart(figure, width="stretch", key=key, config=CHART_CONFIG, alt=alt)


def show_table(
    table: pd.DataFrame, key: str, alt: str, *, config: Mapping[str, Any] | None = None, height: int | None = None
) -> None:
    """Show a table without its index, and offer exactly this as CSV and JSON."""
    draw_table(table, key, alt, config=config, height=height)
    offer_exports(table, key)


def draw_table(
    table: pd.DataFrame, key: str, alt: str, *, config: Mapping[str, Any] | None = None, height: int | None = None
) -> None:
    """Show a table without its index; what is missing is a dash, and what texts hide is an escape."""
    _draw(table, key, alt, config or {}, height)


def choose_row(
    table: pd.DataFrame,
    key: str,
    alt: str,
    *,
    names: Sequence[str],
    config: Mapping[str, Any],
    order: Sequence[str],
    height: int | None = None,
) -> str | None:
    """Show a table of which a row can be chosen, as `draw_table`; return what ``names`` call the chosen one.

    A browser tells a row by its number in the table that it shows, which may be older than this one: the name is that
    of the row that was clicked, whether or not this table still has it.
    """
    drawn = st.session_state.get(f"{_DRAWN}{key}", names)
    st.session_state[f"{_DRAWN}{key}"] = list(names)
    chosen = _draw(table, key, alt, config, height, column_order=order, on_select="rerun", selection_mode="single-row")
    rows: list[int] = chosen["selection"]["rows"]
    return drawn[rows[0]] if rows and rows[0] < len(drawn) else None


def of_kinds(
    table: pd.DataFrame, column: str, kinds: type[StrEnum], key: str, place: DeltaGenerator | None = None
) -> pd.DataFrame:
    """Let a reader choose among the kinds that ``column`` has; return the rows of the chosen ones, all where none is.

    The choice stands in the address as ``key``; ``place`` is where to draw it, here where it is not given.
    """
    chosen = (place or st).pills(
        column.capitalize(),
        [str(kind) for kind in kinds if (table[column] == kind).any()],
        selection_mode="multi",
        key=key,
        bind="query-params",
    )
    return table[table[column].isin(chosen)] if chosen else table


def _draw(
    table: pd.DataFrame, key: str, alt: str, config: Mapping[str, Any], height: int | None, **choosing: Any
) -> Any:
    """Draw a table as all of them are; return the choice where ``choosing`` lets one be made."""
    for name in table.select_dtypes(["object", "string"]):
        table = table.assign(**{str(name): table[name].map(_seen)})
    return st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height=height or rows_height(len(table)),
        key=key,
        alt=alt,
        column_config=dict(config),
        placeholder=MISSING,
        **choosing,
    )


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
    """Return a table as CSV; numbers keep every digit, times are ISO 8601.

    Text that a sheet would run as a formula gets an apostrophe before it, in headers too.
    """
    harmless = _for_export(table)
    for name in harmless.select_dtypes(["object", "string", "category"]):
        harmless[name] = harmless[name].astype(object).map(_no_formula)
    return harmless.rename(columns=_no_formula).to_csv(index=False).encode()


def json_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as a JSON list of rows; what is missing or not finite is ``null``."""
    plain = _for_export(table).astype(object)
    return strict_json.encode_for_people(plain.where(plain.notna(), None).to_dict("records"))


def _seen(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n")  # the csv module would leave a lone one unquoted
    return f"'{value}" if _MAY_RUN.match(value) and not _NUMBER.fullmatch(value) else value


def _for_export(table: pd.DataFrame) -> pd.DataFrame:
    plain = table.copy()
    for name in table.select_dtypes(["datetime", "datetimetz", "timedelta"]):
        plain[name] = table[name].map(_iso, na_action="ignore").astype(object)
    return plain


def _iso(moment: pd.Timestamp | pd.Timedelta) -> str:
    return moment.isoformat()
