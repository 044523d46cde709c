"""Figures of information coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from mm_core.dashboard.figures.frame import bars_height, framed
from mm_core.dashboard.palette import Palette
from mm_core.evaluation.ic import FloatArray, IcMatrix, TauSummary

LEAST_WIDTH = 1e-300
"""Of a histogram's bins: a power of ten below it has no exact inverse, so smaller values count as zero."""


def strongest(names: Sequence[str], taus: Sequence[float | None], top: int) -> list[tuple[str, float]]:
    """Return the ``top`` highest and the ``top`` lowest taus, highest first; all where there are not as many.

    A tau that is None or NaN is left out.
    """
    known = sorted(
        ((name, tau) for name, tau in zip(names, taus, strict=True) if tau is not None and not np.isnan(tau)),
        key=lambda pair: -pair[1],
    )
    return known if len(known) <= 2 * top else known[:top] + known[len(known) - top :]


def ic_bars(names: Sequence[str], taus: Sequence[float | None], top: int, colors: Palette) -> go.Figure:
    """Draw the highest and lowest taus as bars around zero."""
    rows = strongest(names, taus, top)[::-1]
    figure = go.Figure(
        go.Bar(
            x=[tau for _, tau in rows],
            y=[name for name, _ in rows],
            orientation="h",
            marker_color=[colors.positive if tau >= 0 else colors.negative for _, tau in rows],
            hovertemplate="%{y}<br>τ = %{x:+.5f}<extra></extra>",
        )
    )
    framed(figure, colors, bars_height(len(rows)), x="Kendall τ", bargap=0.25)
    figure.update_yaxes(type="category", tickfont={"size": 11}, range=[-0.6, len(rows) - 0.4], dtick=1)
    return figure


def tau_histogram(taus: Sequence[float | None], colors: Palette) -> go.Figure:
    """Draw how many factors have which tau, bins of equal width that meet at zero."""
    edges, counts = histogram_around_zero(np.array(taus, float))
    centers = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure(
        go.Bar(
            x=centers,
            y=counts,
            width=np.diff(edges) * 0.94,
            marker_color=[colors.positive if center >= 0 else colors.negative for center in centers],
            customdata=np.column_stack([edges[:-1], edges[1:]]),
            hovertemplate="%{customdata[0]:+.4f} to %{customdata[1]:+.4f}<br>%{y} factors<extra></extra>",
        )
    )
    return framed(figure, colors, 300, x="Kendall τ", y="factors")


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


def tau_boxes(labels: Sequence[str], summaries: Sequence[TauSummary], colors: Palette) -> go.Figure:
    """Draw minimum, quartiles and maximum of each group's taus; quartiles are given, not computed in the browser."""
    rows = [(label, one.quartiles) for label, one in zip(labels, summaries, strict=True) if one.quartiles][::-1]
    low, first, median, third, high = (
        [quartiles[at] for _, quartiles in rows if quartiles is not None] for at in range(5)
    )
    figure = go.Figure(
        go.Box(
            y=[label for label, _ in rows],
            lowerfence=low, q1=first, median=median, q3=third, upperfence=high,
            orientation="h", line_color=colors.accent, line_width=1.5, showlegend=False,
        )
    )  # fmt: skip
    framed(figure, colors, bars_height(len(rows)), x="Kendall τ")
    figure.update_yaxes(type="category", dtick=1, tickfont={"size": 11})
    figure.add_vline(0, line_color=colors.quiet, line_width=1)
    return figure


def tau_scatter(
    names: Sequence[str],
    left: Sequence[float],
    right: Sequence[float],
    titles: tuple[str, str],
    colors: Palette,
) -> go.Figure:
    """Draw the taus of common factors, one side against the other, with the line where both are equal."""
    figure = go.Figure(
        go.Scattergl(
            x=left, y=right, text=names, mode="markers",
            marker={"color": colors.accent, "size": 7, "opacity": 0.75, "line": {"width": 0}},
            hovertemplate=f"%{{text}}<br>{titles[0]}: %{{x:+.4f}}<br>{titles[1]}: %{{y:+.4f}}<extra></extra>",
            showlegend=False,
        )
    )  # fmt: skip
    values = np.array([*left, *right], float)
    values = values[np.isfinite(values)]
    if len(values):
        low, high = float(values.min()), float(values.max())
        figure.add_shape(
            type="line", x0=low, y0=low, x1=high, y1=high, line={"color": colors.quiet, "width": 1, "dash": "dot"}
        )
    return framed(figure, colors, 380, x=f"τ of {titles[0]}", y=f"τ of {titles[1]}")


def heat_map(
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    colors: Palette,
    *,
    what: str = "τ",
    diverging: bool = True,
    bound: float | None = None,
) -> go.Figure:
    """Draw a matrix as colours, symmetric around zero where ``diverging``; a cell without a number shows the ground.

    Values travel as 32-bit floats, which halves what the browser is sent.
    """
    limit = bound or float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0
    scale = colors.diverging if diverging else colors.sequential
    figure = go.Figure(
        go.Heatmap(
            z=values.astype("float32"),
            x=list(columns),
            y=list(rows),
            zmin=-limit if diverging else 0.0,
            zmax=limit,
            colorscale=[list(stop) for stop in scale],
            colorbar={"title": {"text": what}, "thickness": 12, "outlinewidth": 0, "len": 1, "tickformat": "+.2f"},
            hovertemplate=f"%{{y}}<br>%{{x}}<br>{what} = %{{z:+.4f}}<extra></extra>",
            hoverongaps=False,
        )
    )
    many = len(rows) > 70
    framed(figure, colors, min(780, 120 + 14 * len(rows)) if not many else 780)
    figure.update_layout(plot_bgcolor=colors.missing)
    figure.update_xaxes(type="category", showgrid=False, tickfont={"size": 10}, nticks=60)
    figure.update_yaxes(
        type="category", showgrid=False, tickfont={"size": 10}, autorange="reversed", nticks=60 if many else len(rows)
    )
    return figure


def one_factor(matrix: IcMatrix, row: int, colors: Palette) -> go.Figure:
    """Draw one factor's tau in every symbol, a series for each return."""
    known = [not np.isnan(tau) for tau in matrix.taus[row]]
    returns = list(dict.fromkeys(group.return_name for group, there in zip(matrix.groups, known, strict=True) if there))
    marks = [colors.accent, colors.second, colors.ageing, colors.fresh, colors.negative, colors.quiet]
    figure = go.Figure()
    for at, name in enumerate(returns):
        columns = [column for column, group in enumerate(matrix.groups) if group.return_name == name]
        figure.add_bar(
            name=name,
            x=[matrix.groups[column].symbol for column in columns],
            y=matrix.taus[row, columns],
            marker_color=marks[at % len(marks)],
            hovertemplate=f"%{{x}}, {name}<br>τ = %{{y:+.5f}}<extra></extra>",
        )
    framed(figure, colors, 340, y="Kendall τ", barmode="group", showlegend=len(returns) > 1)
    figure.update_xaxes(type="category", nticks=60)
    return figure


def coverage_map(matrix: IcMatrix, columns: Sequence[str], colors: Palette) -> go.Figure:
    """Draw where a factor is a dimension of the model, where it only has a tau, and where it is missing."""
    state = np.where(matrix.selected, 2.0, np.where(np.isnan(matrix.taus), np.nan, 1.0))
    figure = heat_map(state, matrix.factors, columns, colors, what="coverage", diverging=False, bound=2.0)
    words = np.where(matrix.selected, "selected", np.where(np.isnan(matrix.taus), "missing", "has τ, not selected"))
    figure.update_traces(
        showscale=False, text=words, hovertemplate="%{y}<br>%{x}<br>%{text}<extra></extra>", hoverongaps=True
    )
    return figure
