"""Figures of a booster's trees."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from mm_core.dashboard.figures.frame import framed
from mm_core.dashboard.figures.ic import histogram_around_zero
from mm_core.dashboard.palette import Palette
from mm_core.evaluation.boosters import FloatArray, IntArray


def count_bars(counts: IntArray, what: str, colors: Palette) -> go.Figure:
    """Draw how many trees have which depth, or which number of leaves."""
    values, trees = np.unique(counts, return_counts=True)
    figure = go.Figure(
        go.Bar(
            x=values,
            y=trees,
            marker_color=colors.accent,
            hovertemplate=f"{what} %{{x}}<br>%{{y}} trees<extra></extra>",
        )
    )
    framed(figure, colors, 260, x=what, y="trees", bargap=0.15)
    figure.update_xaxes(tickformat="d", nticks=12)
    if 0 < len(values) <= 12:
        figure.update_xaxes(tickvals=values.tolist(), range=[values.min() - 1, values.max() + 1])
    return figure


def leaf_values(values: FloatArray, colors: Palette) -> go.Figure:
    """Draw how many leaves add which value."""
    edges, counts = histogram_around_zero(values, 40)
    centers = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure(
        go.Bar(
            x=centers,
            y=counts,
            width=np.diff(edges) * 0.94,
            marker_color=[colors.positive if center >= 0 else colors.negative for center in centers],
            hovertemplate="about %{x:.4g}<br>%{y} leaves<extra></extra>",
        )
    )
    return framed(figure, colors, 260, x="leaf value", y="leaves")
