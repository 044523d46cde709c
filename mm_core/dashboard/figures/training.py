"""Figures of training windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import plotly.graph_objects as go

from mm_core.dashboard.figures.frame import bars_height, framed, name_rows, shown
from mm_core.dashboard.palette import Palette
from mm_core.evaluation.training import Freshness, TrainingWindow


def training_gantt(rows: Sequence[tuple[str, TrainingWindow, Freshness]], now: datetime, colors: Palette) -> go.Figure:
    """Draw each training window as a bar from start to end, coloured and named by its freshness, with today's line.

    Windows that `is_drawn` refuses are left out; the axis ends 40 years before and 5 years after today.
    """
    looks = {
        Freshness.FRESH: colors.fresh,
        Freshness.AGEING: colors.ageing,
        Freshness.STALE: colors.stale,
        Freshness.FUTURE: colors.second,
    }
    known = [(label, window.start, window.end, age) for label, window, age in rows if is_drawn(window)]
    figure = go.Figure()
    for age, color in looks.items():
        mine = [(label, start, end) for label, start, end, mark in known if mark is age and start and end]
        if mine:
            figure.add_bar(
                name=f"{age} ({len(mine)})",
                y=[shown(label) for label, _, _ in mine],
                base=[start for _, start, _ in mine],
                x=[(end - start).total_seconds() * 1000 for _, start, end in mine],
                customdata=[(f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}") for _, start, end in mine],
                orientation="h",
                marker_color=color,
                hovertemplate="%{y}<br>%{customdata[0]} to %{customdata[1]}<extra></extra>",
            )
    framed(figure, colors, bars_height(len(known)), barmode="overlay", bargap=0.3, showlegend=True)
    earliest, latest = now - timedelta(days=365 * 40), now + timedelta(days=365 * 5)
    low = max(min((start for _, start, _, _ in known if start), default=now), earliest)
    high = min(max((end for _, _, end, _ in known if end), default=now), latest)
    margin = (max(high, now) - min(low, now)) / 50 or timedelta(days=1)
    figure.update_xaxes(type="date", range=[min(low, now) - margin, max(high, now) + margin])
    names = [label for label, *_ in known]
    name_rows(figure, names)
    figure.update_yaxes(
        categoryorder="array", categoryarray=[shown(name) for name in names], range=[len(names) - 0.4, -0.6]
    )
    figure.add_vline(now.timestamp() * 1000, line_color=colors.text, line_width=1, line_dash="dot")
    return figure


def is_drawn(window: TrainingWindow) -> bool:
    """Return whether both sides of a window are known and in their order."""
    return window.start is not None and window.end is not None and window.start <= window.end
