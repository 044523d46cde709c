"""Figures of information coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from mm_core.dashboard.figures.bars import signed_bars, signed_histogram
from mm_core.dashboard.figures.frame import bars_height, framed, name_rows, shown
from mm_core.dashboard.palette import Palette
from mm_core.evaluation.ic import FloatArray, IcMatrix, TauSummary, coverage, valid_tau, valid_taus

MOST_SVG_POINTS = 2000
"""Above that WebGL is faster; below it, it only costs the start of a graphics context."""


def strongest(names: Sequence[str], taus: Sequence[float | None], top: int) -> list[tuple[str, float]]:
    """Return the ``top`` highest and the ``top`` lowest taus, highest first; all where there are not as many.

    A tau that is None, NaN or outside [-1, 1] is left out.
    """
    known = sorted(
        ((name, tau) for name, given in zip(names, taus, strict=True) if (tau := valid_tau(given)) is not None),
        key=lambda pair: -pair[1],
    )
    return known if len(known) <= 2 * top else known[:top] + known[len(known) - top :]


def ic_bars(names: Sequence[str], taus: Sequence[float | None], top: int, colors: Palette) -> go.Figure:
    """Draw the highest and lowest taus as bars around zero."""
    return signed_bars(strongest(names, taus, top), "Kendall τ", "+.5f", colors)


def tau_histogram(taus: Sequence[float | None], colors: Palette) -> go.Figure:
    """Draw how many factors have which tau, bins of equal width that meet at zero; none is outside [-1, 1]."""
    return signed_histogram(valid_taus(taus), "Kendall τ", "factors", colors, 300)


def tau_boxes(labels: Sequence[str], summaries: Sequence[TauSummary], colors: Palette) -> go.Figure:
    """Draw minimum, quartiles and maximum of each group's taus; quartiles are given, not computed in the browser."""
    rows = [(label, one.quartiles) for label, one in zip(labels, summaries, strict=True) if one.quartiles][::-1]
    low, first, median, third, high = (
        [quartiles[at] for _, quartiles in rows if quartiles is not None] for at in range(5)
    )
    figure = go.Figure(
        go.Box(
            y=[shown(label) for label, _ in rows],
            lowerfence=low, q1=first, median=median, q3=third, upperfence=high,
            orientation="h", line_color=colors.accent, line_width=1.5, showlegend=False,
        )
    )  # fmt: skip
    framed(figure, colors, bars_height(len(rows)), x="Kendall τ")
    name_rows(figure, [label for label, _ in rows])
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
    one, other = (shown(title).replace("%{", "% {") for title in titles)
    figure = go.Figure(
        (go.Scatter if len(names) <= MOST_SVG_POINTS else go.Scattergl)(
            x=left, y=right, text=[shown(name) for name in names], mode="markers",
            marker={"color": colors.accent, "size": 7, "opacity": 0.75, "line": {"width": 0}},
            hovertemplate=f"%{{text}}<br>{one}: %{{x:+.4f}}<br>{other}: %{{y:+.4f}}<extra></extra>",
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
    return framed(figure, colors, 380, x=f"τ of {one}", y=f"τ of {other}")


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
    form = "+~g" if diverging else "~g"
    limit = bound or float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0
    scale = colors.diverging if diverging else colors.sequential
    figure = go.Figure(
        go.Heatmap(
            z=values.astype("float32"),
            x=[shown(column) for column in columns],
            y=[shown(row) for row in rows],
            zmin=-limit if diverging else 0.0,
            zmax=limit,
            colorscale=[list(stop) for stop in scale],
            colorbar={
                "title": {"text": what},
                "thickness": 12,
                "outlinewidth": 0,
                "len": 1,
                "tickformat": form,
            },
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
    """Draw one factor's tau in every symbol, a series for each return.

    Where two models have a tau for one symbol and return, each of their returns is a series of its own.
    """
    known = [not np.isnan(tau) for tau in matrix.taus[row]]
    drawn = [(one.symbol, one.return_name) for one, there in zip(matrix.groups, known, strict=True) if there]
    series = [one.return_name for one in matrix.groups]
    if len(set(drawn)) < len(drawn):  # bars of one series would stand on top of each other
        series = [f"{one.model_name} {one.return_name}" for one in matrix.groups]
    names = list(dict.fromkeys(name for name, there in zip(series, known, strict=True) if there))
    marks = [colors.accent, colors.second, colors.ageing, colors.fresh, colors.negative, colors.quiet]
    figure = go.Figure()
    for at, name in enumerate(names):
        columns = [column for column, other in enumerate(series) if other == name]
        figure.add_bar(
            name=shown(name),
            x=[shown(matrix.groups[column].symbol) for column in columns],
            y=matrix.taus[row, columns],
            marker_color=marks[at % len(marks)],
            hovertemplate="%{x}, %{fullData.name}<br>τ = %{y:+.5f}<extra></extra>",
        )
    framed(figure, colors, 340, y="Kendall τ", barmode="group", showlegend=len(names) > 1)
    figure.update_xaxes(type="category", nticks=60)
    return figure


def coverage_map(matrix: IcMatrix, columns: Sequence[str], colors: Palette) -> go.Figure:
    """Draw where a factor is a dimension of the model, where it only has a tau, and where it is missing."""
    figure = heat_map(coverage(matrix), matrix.factors, columns, colors, what="coverage", diverging=False, bound=2.0)
    words = np.where(matrix.selected, "selected", np.where(np.isnan(matrix.taus), "missing", "has τ, not selected"))
    figure.update_traces(
        showscale=False, text=words, hovertemplate="%{y}<br>%{x}<br>%{text}<extra></extra>", hoverongaps=True
    )
    return figure
