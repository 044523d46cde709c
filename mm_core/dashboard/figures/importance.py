"""Figures of what a model leans on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from mm_core.dashboard.figures.bars import signed_bars
from mm_core.dashboard.figures.frame import framed, shown
from mm_core.dashboard.palette import Palette
from mm_core.dashboard.words import counted
from mm_core.evaluation.ic import valid_taus
from mm_core.evaluation.importance import FloatArray, Standing, cumulative_share, factors_for


def ic_against_importance(
    names: Sequence[str],
    taus: Sequence[float | None],
    share: FloatArray,
    standings: Sequence[Standing],
    colors: Palette,
) -> go.Figure:
    """Draw each factor's absolute tau against its share of gain; those that do not fit have a colour and a shape.

    A factor without a tau stands at 0.
    """
    strength = np.nan_to_num(np.abs(valid_taus(taus))).tolist()
    looks = {
        Standing.ORDINARY: ("as its IC says", colors.quiet, "circle", 6),
        Standing.LEANS_WITHOUT_IC: (Standing.LEANS_WITHOUT_IC.value, colors.negative, "diamond", 10),
        Standing.STRONG_BUT_UNUSED: (Standing.STRONG_BUT_UNUSED.value, colors.positive, "triangle-up", 10),
    }
    figure = go.Figure()
    for standing, (label, color, symbol, size) in looks.items():
        at = [dim for dim, one in enumerate(standings) if one is standing]
        figure.add_scatter(
            name=f"{label} ({len(at)})",
            x=[strength[dim] for dim in at],
            y=[float(share[dim]) for dim in at],
            text=[shown(names[dim]) for dim in at],
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": size, "opacity": 0.85},
            hovertemplate="%{text}<br>|τ| = %{x:.4f}<br>%{y:.2%} of gain<extra></extra>",
        )
    framed(figure, colors, 420, x="|Kendall τ|", y="share of gain")
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(tickformat=".1%", rangemode="tozero")
    return figure


def cumulative_curve(share: FloatArray, colors: Palette) -> go.Figure:
    """Draw how much of all gain the largest factors hold together, with marks at a half, 80 and 95 percent."""
    curve = cumulative_share(share)
    figure = go.Figure(
        go.Scatter(
            x=np.arange(1, len(curve) + 1),
            y=curve,
            mode="lines",
            line={"color": colors.accent, "width": 2.5},
            hovertemplate="%{x} factors<br>%{y:.1%} of gain<extra></extra>",
            showlegend=False,
        )
    )
    for part in (0.5, 0.8, 0.95):
        count = factors_for(share, part)
        if count:
            figure.add_annotation(
                x=count, y=part, text=f"{part:.0%}: {counted(count, 'factor')}", showarrow=True, ax=44, ay=16,
                arrowcolor=colors.quiet, xanchor="left", font={"color": colors.text},
            )  # fmt: skip
    framed(figure, colors, 340, x="factors, largest first", y="share of gain")
    figure.update_yaxes(tickformat=".0%", range=[0, 1.05])
    return figure


def importance_bars(names: Sequence[str], share: FloatArray, top: int, colors: Palette) -> go.Figure:
    """Draw the largest shares of gain."""
    largest = np.argsort(-share, kind="stable")[:top]
    return signed_bars([(names[dim], float(share[dim])) for dim in largest], "share of gain", ".1%", colors)
