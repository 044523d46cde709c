"""Figures of training windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import plotly.graph_objects as go

from mm_core.dashboard.figures.frame import bars_height, framed
from mm_core.dashboard.palette import Palette
from mm_core.evaluation.training import Freshness, TrainingWindow


def training_gantt(rows: Sequence[tuple[str, TrainingWindow, Freshness]], now: datetime, colors: Palette) -> go.Figure:
    """Draw each training window as a bar from start to end, coloured and named by its freshness, with today's line.

    Windows of which one side is unknown are left out.
    """
    looks = {Freshness.FRESH: colors.fresh, Freshness.AGEING: colors.ageing, Freshness.STALE: colors.stale}
    known = [(label, window.start, window.end, age) for label, window, age in rows if window.start and window.end]
    figure = go.Figure()
    for age, color in looks.items():
        mine = [(label, start, end) for label, start, end, mark in known if mark is age]
        if mine:
            figure.add_bar(
                name=f"{age} ({len(mine)})",
                y=[label for label, _, _ in mine],
                base=[start for _, start, _ in mine],
                x=[(end - start).total_seconds() * 1000 for _, start, end in mine],
                customdata=[(f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}") for _, start, end in mine],
                orientation="h",
                marker_color=color,
                hovertemplate="%{y}<br>%{customdata[0]} to %{customdata[1]}<extra></extra>",
            )
    framed(figure, colors, bars_height(len(known)), barmode="overlay", bargap=0.3, showlegend=True)
    figure.update_xaxes(type="date")
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=[label for label, *_ in known], autorange="reversed",
        dtick=1, tickfont={"size": 11},
    )  # fmt: skip
    figure.add_vline(now.timestamp() * 1000, line_color=colors.text, line_width=1, line_dash="dot")
    return figure
