"""Bars and histograms whose colour and direction tell the sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from mm_core.dashboard.figures.frame import bars_height, framed, name_rows, shown
from mm_core.dashboard.palette import Palette
from mm_core.evaluation.ic import FloatArray

LEAST_WIDTH = 1e-300
"""Of a histogram's bins: a power of ten below it has no exact inverse, so smaller values count as zero."""


def signed_bars(rows: Sequence[tuple[str, float]], what: str, number_format: str, colors: Palette) -> go.Figure:
    """Draw named values as bars around zero, in the order given from top to bottom."""
    turned = list(rows)[::-1]  # plotly draws upwards
    figure = go.Figure(
        go.Bar(
            x=[value for _, value in turned],
            y=[shown(name) for name, _ in turned],
            orientation="h",
            marker_color=[colors.positive if value >= 0 else colors.negative for _, value in turned],
            hovertemplate=f"%{{y}}<br>{what} %{{x:{number_format}}}<extra></extra>",
        )
    )
    framed(figure, colors, bars_height(len(turned)), x=what, bargap=0.25)
    if number_format.endswith("%"):
        figure.update_xaxes(tickformat=number_format)
    name_rows(figure, [name for name, _ in turned])
    return figure


def signed_histogram(values: FloatArray, x: str, y: str, colors: Palette, height: int, bins: int = 24) -> go.Figure:
    """Draw how many values lie where, in bins of equal width that meet at zero."""
    edges, counts = histogram_around_zero(values, bins)
    centers = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure(
        go.Bar(
            x=centers,
            y=counts,
            width=np.diff(edges) * 0.94,
            marker_color=[colors.positive if center >= 0 else colors.negative for center in centers],
            customdata=np.column_stack([edges[:-1], edges[1:]]),
            hovertemplate=f"%{{customdata[0]:+.4g}} to %{{customdata[1]:+.4g}}<br>%{{y}} {y}<extra></extra>",
        )
    )
    return framed(figure, colors, height, x=x, y=y)


def histogram_around_zero(values: FloatArray, bins: int = 24) -> tuple[FloatArray, np.ndarray]:
    """Return edges, of which one is zero, and the counts between them; widths are 1, 2 or 5 times a power of ten.

    What is no finite number is not counted.
    """
    values = values[np.isfinite(values)].astype(float)
    if not len(values):
        return np.array([0.0, 1.0]), np.array([0])
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    rough = high / bins - low / bins
    if rough < LEAST_WIDTH:
        rough = 1e-3
    power = 10.0 ** np.floor(np.log10(rough))
    width = power * next(step for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))
    edges = np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
    if len(edges) < 2:
        edges = np.array([0.0, width])
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)  # an outer edge may be rounded inwards
    return edges, counts
