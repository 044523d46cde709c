"""What all figures share: margins, fonts, legends outside of the data."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from mm_core.dashboard.palette import Palette
from mm_core.spelling import visible

LONGEST_LABEL = 40
BAR_PIXELS = 18
"""Height of one horizontal bar with its label."""


def framed(figure: go.Figure, colors: Palette, height: int, *, x: str = "", y: str = "", **layout: Any) -> go.Figure:
    """Give a figure its height, axis titles and the page's colours; legends go above the data."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 30 if figure.layout.title.text or len(figure.data) > 1 else 12, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": colors.text, "size": 12},
        legend={"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom", "title": None},
        hoverlabel={"font": {"size": 12}},
        dragmode="pan",
        **layout,
    )
    figure.update_xaxes(title_text=x, gridcolor=colors.grid, zerolinecolor=colors.quiet, automargin=True)
    figure.update_yaxes(title_text=y, gridcolor=colors.grid, zerolinecolor=colors.quiet, automargin=True)
    return figure


def shown(name: str) -> str:
    """Return a name as plotly shows it letter by letter: it would read tags and entities."""
    return html.escape(visible(name), quote=False)


def shortened(name: str) -> str:
    """Return a name of an axis, its middle left out where it is long."""
    return shown(name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 15]}…{name[-14:]}")


def name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Label the rows of a figure, each of them, from bottom to top."""
    figure.update_yaxes(
        type="category",
        tickfont={"size": 11},
        tickvals=[shown(name) for name in names],
        ticktext=[shortened(name) for name in names],
        range=[-0.6, len(names) - 0.4],
    )


def bars_height(count: int) -> int:
    """Return the height of ``count`` horizontal bars with room for the axis."""
    return max(180, 70 + BAR_PIXELS * count)
