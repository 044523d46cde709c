"""Figures of versions: who had which status when, figures over time, disk use, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import plotly.graph_objects as go

from mm_core.dashboard.figures.frame import framed, name_rows, shortened, shown
from mm_core.dashboard.palette import Palette
from mm_core.domain.lifecycle import Status
from mm_core.evaluation.versions import StatusSpan

ROW = 30
"""Height of one version's row in a timeline, in pixels."""

NARROWEST = 0.004
"""The least that a span takes of the axis: one of a second would not be seen."""

Point = tuple[datetime, float, str, str]
"""Created, value, version, and why the value cannot be believed (empty where it can)."""


def status_timeline(spans: Sequence[StatusSpan], now: datetime, moment: datetime | None, colors: Palette) -> go.Figure:
    """Draw each version's statuses as bars, the newest version on top; what is deployed is thick.

    ``moment`` is marked by a line, ``now`` ends what lasts.
    """
    looks = {
        Status.TRAINING: (colors.quiet, 0.16),
        Status.VALIDATED: (colors.second, 0.16),
        Status.SHADOW: (colors.accent, 0.4),
        Status.DEPLOYED: (colors.fresh, 0.74),
        Status.DEPRECATED: (colors.ageing, 0.16),
    }
    names = list(dict.fromkeys(span.version for span in spans))  # by their first event, oldest first
    starts = [span.since for span in spans]
    low = min(starts, default=now)
    high = max(now, *starts) if starts else now
    width = max(high - low, timedelta(minutes=10))
    figure = go.Figure()
    for status, (color, thickness) in looks.items():
        mine = [span for span in spans if span.status is status]
        if not mine:
            continue
        ends = [max(span.until or high, span.since + width * NARROWEST) for span in mine]
        figure.add_bar(
            name=f"{status} ({len(mine)})",
            y=[shown(span.version) for span in mine],
            base=[span.since for span in mine],
            x=[(end - span.since).total_seconds() * 1000 for span, end in zip(mine, ends, strict=True)],
            width=thickness,
            customdata=[
                (
                    f"{span.since:%Y-%m-%d %H:%M:%S}",
                    f"{span.until:%Y-%m-%d %H:%M:%S}" if span.until is not None else "now",
                    shown(span.by),
                    shown(span.why[:120]),
                )
                for span in mine
            ],
            orientation="h",
            marker={"color": color, "line": {"width": 0}},
            hovertemplate=f"%{{y}} {status}<br>%{{customdata[0]}} to %{{customdata[1]}} UTC"
            "<br>%{customdata[2]}: %{customdata[3]}<extra></extra>",
        )
    framed(figure, colors, 90 + ROW * max(len(names), 2), barmode="overlay", showlegend=True)
    figure.update_layout(margin_t=34)
    figure.update_xaxes(type="date", range=[low - width / 40, high + width / 40])
    name_rows(figure, names)
    figure.update_yaxes(categoryorder="array", categoryarray=[shown(name) for name in names])
    if moment is not None:
        figure.add_vline(moment.timestamp() * 1000, line_color=colors.text, line_width=1.5, line_dash="dot")
    return figure


def metric_lines(series: Mapping[str, Sequence[Point]], metric: str, colors: Palette) -> go.Figure:
    """Draw one figure of many versions over the time of their creation, a line each series.

    A value that cannot be believed is a hollow diamond.
    """
    marks = [colors.accent, colors.second, colors.fresh, colors.ageing, colors.negative, colors.quiet]
    dashes = ["solid", "dash", "dot"]
    figure = go.Figure()
    for at, (name, points) in enumerate(series.items()):
        ordered = sorted(points)
        color = marks[at % len(marks)]
        figure.add_scatter(
            name=shortened(name),
            x=[point[0] for point in ordered],
            y=[point[1] for point in ordered],
            customdata=[(shown(point[2]), f"<br>doubtful: {shown(point[3])}" if point[3] else "") for point in ordered],
            mode="lines+markers",
            line={"color": color, "width": 1.5, "dash": dashes[at // len(marks) % len(dashes)]},
            marker={
                "size": 9,
                "color": color,
                "symbol": ["diamond-open" if point[3] else "circle" for point in ordered],
                "line": {"width": 1.5, "color": color},
            },
            hovertemplate="%{customdata[0]}<br>%{x|%Y-%m-%d %H:%M}<br>%{y:.6~g}%{customdata[1]}<extra></extra>",
        )
    framed(figure, colors, 420, y=shown(metric), showlegend=len(series) > 1)
    figure.update_xaxes(type="date")
    return figure


def disk_bars(rows: Sequence[tuple[str, int, int]], colors: Palette) -> go.Figure:
    """Draw the bytes of each family, largest on top: what is in use, and the rest."""
    turned = list(rows)[::-1]  # plotly draws upwards
    figure = go.Figure()
    for name, color, values in (
        ("in use", colors.accent, [used for _, _, used in turned]),
        ("not in use", colors.quiet, [total - used for _, total, used in turned]),
    ):
        figure.add_bar(
            name=name,
            y=[shown(family) for family, _, _ in turned],
            x=values,
            orientation="h",
            marker_color=color,
            hovertemplate=f"%{{y}}<br>%{{x:,}} bytes {name}<extra></extra>",
        )
    framed(figure, colors, 100 + 26 * max(len(turned), 2), x="bytes", barmode="stack", bargap=0.35, showlegend=True)
    figure.update_layout(legend_traceorder="normal")
    figure.update_xaxes(tickformat="~s", rangemode="tozero")
    name_rows(figure, [family for family, _, _ in turned])
    return figure


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], colors: Palette) -> go.Figure:
    """Draw a confusion matrix: rows are true classes, columns what was predicted, shares are of the row."""
    counts = np.array(matrix, float).reshape(len(matrix), len(matrix))
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    names = [shown(name) for name in classes]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            zmin=0.0,
            zmax=1.0,
            text=[
                [f"{int(count):,}<br>{share:.0%}" for count, share in zip(row, parts, strict=True)]
                for row, parts in zip(counts, shares, strict=True)
            ],
            texttemplate="%{text}",
            textfont={"color": colors.text},
            colorscale=[colors.sequential[0][1], colors.sequential[1][1]],  # any darker, and nobody reads the counts
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="true %{y}, predicted %{x}<br>%{text}<extra></extra>",
        )
    )
    framed(figure, colors, 130 + 62 * max(len(names), 2), x="predicted", y="true")
    figure.update_xaxes(type="category", showgrid=False, side="bottom")
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    return figure


def paired_bars(
    names: Sequence[str], sides: Mapping[str, Sequence[float | None]], x: str, colors: Palette
) -> go.Figure:
    """Draw named values of two sides beside each other, in the order given from top to bottom."""
    figure = go.Figure()
    turned = [shown(name) for name in names][::-1]
    marks = [colors.accent, colors.second]
    for (label, values), color in reversed(list(zip(sides.items(), marks, strict=False))):
        figure.add_bar(
            name=shortened(label),
            y=turned,
            x=list(values)[::-1],
            orientation="h",
            marker_color=color,
            hovertemplate=f"%{{y}}<br>{x} %{{x:.4~g}}<extra></extra>",
        )
    framed(figure, colors, 100 + 34 * max(len(turned), 2), x=x, barmode="group", bargap=0.3, showlegend=True)
    figure.update_layout(legend_traceorder="reversed")
    name_rows(figure, list(names)[::-1])
    return figure
