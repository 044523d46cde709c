"""Figures of a booster's trees."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from mm_core.dashboard.figures.bars import signed_histogram
from mm_core.dashboard.figures.frame import framed
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
    return signed_histogram(values, "leaf value", "leaves", colors, 260, bins=40)
