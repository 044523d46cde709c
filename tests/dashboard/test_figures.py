"""Figures: what their traces hold, for nothing, one row, hundreds of rows and holes."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.dashboard.figures import bars as signed
from mm_core.dashboard.figures import comparison, ic, importance, training, trees
from mm_core.dashboard.palette import DARK, LIGHT, Palette
from mm_core.evaluation.ic import GroupName, IcMatrix, TauSummary
from mm_core.evaluation.importance import Standing
from mm_core.evaluation.training import Freshness, TrainingWindow

NAN = math.nan
UP, DOWN = LIGHT.positive, LIGHT.negative
NOW = datetime(2025, 6, 1, tzinfo=UTC)


def _matrix(taus: list[list[float]], returns: tuple[str, ...]) -> IcMatrix:
    cells = np.array(taus, float).reshape(len(taus), len(returns))
    groups = tuple(GroupName("m", f"S{at}", name, f"S{at}_{name}") for at, name in enumerate(returns))
    return IcMatrix(tuple(f"x{row}" for row in range(len(taus))), groups, cells, np.ones(cells.shape, bool))


def _every_figure(taus: list[float | None], colors: Palette) -> dict[str, go.Figure]:
    names = [f"f{at}" for at in range(len(taus))]
    numbers = np.array(taus, float)
    share = np.nan_to_num(np.abs(numbers)) / max(np.nansum(np.abs(numbers)), 1)
    quartiles = [TauSummary(1, tau, tau, None, 1.0, (tau,) * 5) if tau == tau else TauSummary(0) for tau in numbers]
    standings = [list(Standing)[at % 3] for at in range(len(taus))]
    start = NOW - timedelta(days=90)
    windows = [(name, TrainingWindow(start if at % 2 else None, NOW), Freshness.FRESH) for at, name in enumerate(names)]
    return {
        "ic_bars": ic.ic_bars(names, taus, 20, colors),
        "tau_histogram": ic.tau_histogram(taus, colors),
        "tau_boxes": ic.tau_boxes(names, quartiles, colors),
        "tau_scatter": ic.tau_scatter(names, numbers.tolist(), numbers.tolist(), ("A", "B"), colors),
        "heat_map": ic.heat_map(numbers.reshape(-1, 1), names, ["S"], colors),
        "heat_map_wide": ic.heat_map(numbers.reshape(1, -1), ["x"], names, colors, diverging=False, bound=0.5),
        "one_factor": ic.one_factor(_matrix([numbers.tolist()], ("1m",) * len(taus)), 0, colors),
        "ic_against_importance": importance.ic_against_importance(names, taus, share, standings, colors),
        "cumulative_curve": importance.cumulative_curve(share, colors),
        "importance_bars": importance.importance_bars(names, share, 30, colors),
        "change_bars": signed.signed_bars(
            comparison.largest_changes(list(zip(names, taus, strict=True)), 20), "Δτ", "+.4f", colors
        ),
        "training_gantt": training.training_gantt(windows, NOW, colors),
        "count_bars": trees.count_bars(np.arange(len(taus)) % 40, "depth", colors),
        "leaf_values": trees.leaf_values(numbers, colors),
    }


SAMPLES: dict[str, list[float | None]] = {
    "nothing": [],
    "one": [0.05],
    "one zero": [0.0],
    "all None": [None] * 5,
    "all NaN": [NAN] * 3,
    "holes": [0.1, None, -0.2, NAN, 0.0],
    "five hundred": [math.sin(at) / 10 for at in range(500)],
}


@pytest.mark.parametrize("taus", SAMPLES.values(), ids=SAMPLES.keys())
@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_every_figure_can_be_drawn_from_whatever_a_group_has(taus: list[float | None], colors: Palette) -> None:
    for name, figure in _every_figure(taus, colors).items():
        assert figure.layout.height >= 120, name
        assert figure.layout.font.color == colors.text, name
        assert "Infinity" not in figure.to_json(), name


def test_ic_bars_show_the_highest_and_the_lowest_with_the_highest_on_top() -> None:
    taus = [0.1, -0.3, None, 0.2, 0.0, NAN, -0.1]
    (bars,) = ic.ic_bars(list("abcdefg"), taus, 2, LIGHT).data
    assert (bars.orientation, bars.y, bars.x) == ("h", ("b", "g", "a", "d"), (-0.3, -0.1, 0.1, 0.2))
    assert bars.marker.color == (DOWN, DOWN, UP, UP)
    (bars,) = ic.ic_bars(list("abcdefg"), taus, 3, LIGHT).data
    assert (bars.y, bars.x) == (("b", "g", "e", "a", "d"), (-0.3, -0.1, 0.0, 0.1, 0.2))
    assert bars.marker.color == (DOWN, DOWN, UP, UP, UP)


@pytest.mark.parametrize(("top", "expected"), [(0, []), (1, ["c", "a"]), (2, ["c", "b", "a"]), (9, ["c", "b", "a"])])
def test_strongest_takes_as_many_from_either_end(top: int, expected: list[str]) -> None:
    assert [name for name, _ in ic.strongest(list("abc"), [-1.0, 0.5, 0.7], top)] == expected


def test_what_can_be_no_tau_is_in_no_figure_of_taus() -> None:
    names, taus = list("abcd"), [0.1, 7.0, -1.5, -0.2]
    (bars,) = ic.ic_bars(names, taus, 20, LIGHT).data
    assert (bars.y, bars.x) == (("d", "a"), (-0.2, 0.1))
    (counts,) = ic.tau_histogram(taus, LIGHT).data
    assert sum(counts.y) == 2
    figure = importance.ic_against_importance(names, taus, np.full(4, 0.25), [Standing.ORDINARY] * 4, LIGHT)
    assert figure.data[0].x == (0.1, 0.0, 0.0, 0.2)


def test_a_histogram_has_bins_of_a_round_width_that_meet_at_zero() -> None:
    edges, counts = signed.histogram_around_zero(np.array([-0.03, -0.01, 0.0, 0.004, 0.049, NAN, math.inf]), bins=10)
    np.testing.assert_allclose(edges, [-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04, 0.05], atol=1e-15)
    assert counts.tolist() == [1, 0, 1, 2, 0, 0, 0, 1]  # a bin holds its lower edge
    (bars,) = ic.tau_histogram([-0.03, -0.01, 0.0, 0.004, 0.049, None, NAN], LIGHT).data
    np.testing.assert_allclose(bars.x[:2], [-0.0275, -0.0225], atol=1e-15)  # 0.079 / 24 asks for 0.005
    assert sum(bars.y) == 5
    assert all((color == UP) == (center > 0) for center, color in zip(bars.x, bars.marker.color, strict=True))


@given(st.lists(st.floats(-1e6, 1e6) | st.floats(-0.2, 0.2) | st.sampled_from([0.0, 1e-310, 5e-324, NAN]), max_size=30))
def test_a_histogram_counts_every_number_once(values: list[float]) -> None:
    edges, counts = signed.histogram_around_zero(np.array(values, float))
    assert counts.sum() == sum(not math.isnan(value) for value in values)
    assert 0.0 in edges
    assert np.all(np.diff(edges) > 0)
    assert len(counts) == len(edges) - 1 <= 26


def test_boxes_are_the_given_quartiles_and_groups_without_a_tau_have_none() -> None:
    rows = [TauSummary(2, quartiles=(-0.2, -0.1, 0.0, 0.1, 0.2)), TauSummary(0), TauSummary(1, quartiles=(0.3,) * 5)]
    (boxes,) = ic.tau_boxes(["A", "B", "C"], rows, LIGHT).data
    assert boxes.y == ("C", "A")
    found = [boxes.lowerfence, boxes.q1, boxes.median, boxes.q3, boxes.upperfence]
    assert found == [(0.3, -0.2), (0.3, -0.1), (0.3, 0.0), (0.3, 0.1), (0.3, 0.2)]


def test_the_scatter_has_a_line_of_equal_taus_across_all_finite_ones() -> None:
    figure = ic.tau_scatter(["a", "b", "c"], [0.1, -0.2, NAN], [0.3, 0.0, 0.9], ("SOL", "BTC"), LIGHT)
    (points,), (line,) = figure.data, figure.layout.shapes
    assert (points.x[:2], points.y, points.text) == ((0.1, -0.2), (0.3, 0.0, 0.9), ("a", "b", "c"))
    assert (line.x0, line.y0, line.x1, line.y1) == (-0.2, -0.2, 0.9, 0.9)
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("τ of SOL", "τ of BTC")
    assert ic.tau_scatter([], [], [], ("A", "B"), LIGHT).layout.shapes == ()


def test_a_heat_map_is_symmetric_around_zero_and_leaves_holes_open() -> None:
    figure = ic.heat_map(np.array([[0.1, NAN], [-0.4, 0.0]]), ["a", "b"], ["S", "T"], DARK)
    (cells,) = figure.data
    np.testing.assert_array_equal(cells.z, np.array([[0.1, NAN], [-0.4, 0.0]], "float32"))
    assert (cells.x, cells.y, cells.z.dtype.name) == (("S", "T"), ("a", "b"), "float32")
    assert (cells.zmin, cells.zmax, cells.hoverongaps) == (-0.4, 0.4, False)
    assert cells.colorscale == DARK.diverging
    assert (figure.layout.plot_bgcolor, figure.layout.yaxis.autorange) == (DARK.missing, "reversed")


@pytest.mark.parametrize(
    ("values", "bound", "limits"),
    [([NAN, NAN], None, (0.0, 1.0)), ([0.0, 0.0], None, (0.0, 1.0)), ([0.2, math.inf], None, (0.0, 0.2)),
     ([0.2, 0.5], 2.0, (0.0, 2.0))],
)  # fmt: skip
def test_a_heat_map_of_shares_begins_at_zero(
    values: list[float], bound: float | None, limits: tuple[float, float]
) -> None:
    (cells,) = ic.heat_map(np.array([values]), ["a"], ["S", "T"], LIGHT, diverging=False, bound=bound).data
    assert (cells.zmin, cells.zmax, cells.colorscale) == (*limits, LIGHT.sequential)


def test_one_factor_is_a_series_a_return_with_a_legend_where_there_are_several() -> None:
    figure = ic.one_factor(_matrix([[9, 9, 9, 9], [0.1, 0.3, -0.2, NAN]], ("1m", "5m", "1m", "1d")), 1, LIGHT)
    first, second = figure.data  # nobody has a tau for 1d
    assert (first.name, first.x, list(first.y)) == ("1m", ("S0", "S2"), [0.1, -0.2])
    assert (second.name, second.x, list(second.y)) == ("5m", ("S1",), [0.3])
    assert first.marker.color != second.marker.color
    assert figure.layout.showlegend is True
    assert ic.one_factor(_matrix([[0.1]], ("1m",)), 0, LIGHT).layout.showlegend is False


def test_one_factor_is_a_series_a_model_and_return_where_bars_would_stand_on_top_of_each_other() -> None:
    groups = (("a", "S", "1m"), ("a", "T", "1m"), ("b", "S", "1m"), ("b", "S", "5m"))
    names = tuple(GroupName(model, symbol, name, f"{symbol}_{name}") for model, symbol, name in groups)
    taus = np.array([[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, NAN, 0.4]])
    matrix = IcMatrix(("x", "y"), names, taus, np.ones(taus.shape, bool))
    found = [(bars.name, bars.x, list(bars.y)) for bars in ic.one_factor(matrix, 0, LIGHT).data]
    assert found == [("a 1m", ("S", "T"), [0.1, 0.2]), ("b 1m", ("S",), [0.3]), ("b 5m", ("S",), [0.4])]
    assert [bars.name for bars in ic.one_factor(matrix, 1, LIGHT).data] == ["1m", "5m"], "b has no tau for 1m"


def test_factors_that_do_not_fit_their_ic_have_a_colour_and_a_shape_of_their_own() -> None:
    standings = [Standing.ORDINARY, Standing.STRONG_BUT_UNUSED, Standing.LEANS_WITHOUT_IC, Standing.ORDINARY]
    share = np.array([0.3, 0.0, 0.6, 0.1])
    ordinary, leans, unused = importance.ic_against_importance(
        ["a", "b", "c", "d"], [0.1, -0.2, None, 0.05], share, standings, LIGHT
    ).data
    assert (ordinary.x, ordinary.y, ordinary.text) == ((0.1, 0.05), (0.3, 0.1), ("a", "d"))
    assert (leans.x, leans.y, leans.text, leans.name) == ((0.0,), (0.6,), ("c",), "heavy, weak IC (1)")
    assert (unused.x, unused.y, unused.text, unused.name) == ((0.2,), (0.0,), ("b",), "strong IC, unused (1)")
    looks = {(trace.marker.color, trace.marker.symbol) for trace in (ordinary, leans, unused)}
    assert looks == {(LIGHT.quiet, "circle"), (DOWN, "diamond"), (UP, "triangle-up")}


def test_the_curve_adds_the_largest_first_and_marks_half_80_and_95_percent() -> None:
    figure = importance.cumulative_curve(np.array([0.125, 0.5, 0.375]), LIGHT)
    (curve,) = figure.data
    assert (list(curve.x), list(curve.y)) == ([1, 2, 3], [0.5, 0.875, 1.0])
    marks = [(note.x, note.y, note.text) for note in figure.layout.annotations]
    assert marks == [(1, 0.5, "50%: 1 factor"), (2, 0.8, "80%: 2 factors"), (3, 0.95, "95%: 3 factors")]
    assert importance.cumulative_curve(np.zeros(3), LIGHT).layout.annotations == ()
    part = importance.cumulative_curve(np.array([0.375, 0.25]), LIGHT)  # the rest is of dimensions without a name
    assert [note.text for note in part.layout.annotations] == ["50%: 2 factors"]


def test_importance_bars_have_the_largest_on_top_and_equal_ones_in_dimension_order() -> None:
    (bars,) = importance.importance_bars(["a", "b", "c", "d"], np.array([0.2, 0.1, 0.5, 0.2]), 3, LIGHT).data
    assert (bars.y, list(bars.x)) == (("d", "a", "c"), [0.2, 0.2, 0.5])


def test_changes_are_chosen_by_size_and_drawn_from_the_most_positive_down() -> None:
    rows = [("a", 0.1), ("b", -0.5), ("c", None), ("d", 0.3), ("e", 0.0), ("f", NAN)]
    chosen = comparison.largest_changes(rows, 2)
    assert chosen == [("d", 0.3), ("b", -0.5)]
    assert comparison.largest_changes(rows, 9) == [("d", 0.3), ("a", 0.1), ("b", -0.5)]
    (bars,) = signed.signed_bars(chosen, "Δτ", "+.4f", LIGHT).data
    assert (bars.y, bars.x, bars.marker.color) == (("b", "d"), (-0.5, 0.3), (DOWN, UP))


def test_training_windows_are_bars_by_freshness_with_a_line_at_now() -> None:
    days: Callable[[int], datetime] = lambda count: NOW - timedelta(days=count)  # noqa: E731
    rows = [
        ("old", TrainingWindow(days(100), days(40)), Freshness.STALE),
        ("new", TrainingWindow(days(3), days(1)), Freshness.FRESH),
        ("half", TrainingWindow(None, days(1)), Freshness.FRESH),
        ("none", TrainingWindow(None, None), Freshness.UNKNOWN),
    ]
    figure = training.training_gantt(rows, NOW, LIGHT)
    fresh, stale = figure.data
    assert (fresh.name, fresh.y, fresh.base, fresh.x) == ("fresh (1)", ("new",), (days(3),), (2 * 86_400_000.0,))
    assert (stale.name, stale.y, stale.x, stale.marker.color) == (
        "stale (1)", ("old",), (60 * 86_400_000.0,), LIGHT.stale
    )  # fmt: skip
    assert list(stale.customdata[0]) == ["2025-02-21", "2025-04-22"]
    assert figure.layout.yaxis.categoryarray == ("old", "new")
    assert figure.layout.shapes[0].x0 == 1748736000000  # date -u -d 2025-06-01 +%s


def test_trees_are_counted_by_depth_and_leaves_by_value() -> None:
    (bars,) = trees.count_bars(np.array([3, 1, 3, 3]), "depth", LIGHT).data
    assert (list(bars.x), list(bars.y)) == ([1, 3], [1, 3])
    (leaves,) = trees.leaf_values(np.array([-0.5, 0.25, 0.26, 0.5], "float32"), LIGHT).data
    assert [(round(x, 3), y) for x, y in zip(leaves.x, leaves.y, strict=True) if y] == [
        (-0.475, 1), (0.275, 2), (0.475, 1)
    ]  # fmt: skip
