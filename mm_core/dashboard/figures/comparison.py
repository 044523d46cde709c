"""Figures that put two groups side by side."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from mm_core.dashboard.figures.frame import bars_height, framed
from mm_core.dashboard.palette import Palette


def change_bars(rows: Sequence[tuple[str, float]], what: str, number_format: str, colors: Palette) -> go.Figure:
    """Draw changes around zero, in the order given from top to bottom."""
    turned = list(rows)[::-1]
    figure = go.Figure(
        go.Bar(
            x=[value for _, value in turned],
            y=[name for name, _ in turned],
            orientation="h",
            marker_color=[colors.positive if value >= 0 else colors.negative for _, value in turned],
            hovertemplate=f"%{{y}}<br>{what} %{{x:{number_format}}}<extra></extra>",
        )
    )
    framed(figure, colors, bars_height(len(turned)), x=what, bargap=0.25)
    figure.update_xaxes(tickformat=number_format)
    figure.update_yaxes(type="category", tickfont={"size": 11}, dtick=1)
    return figure


def largest_changes(rows: Sequence[tuple[str, float | None]], top: int) -> list[tuple[str, float]]:
    """Return the ``top`` largest changes by size, ordered from the most positive to the most negative.

    A change of 0, None or NaN is none.
    """
    known = [(name, value) for name, value in rows if value and value == value]
    chosen = sorted(known, key=lambda row: -abs(row[1]))[:top]
    return sorted(chosen, key=lambda row: -row[1])
