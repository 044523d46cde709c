"""What all figures share: margins, fonts, legends outside of the data."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from mm_core.dashboard.palette import Palette

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


def bars_height(count: int) -> int:
    """Return the height of ``count`` horizontal bars with room for the axis."""
    return max(180, 70 + BAR_PIXELS * count)
