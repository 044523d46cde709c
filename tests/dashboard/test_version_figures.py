"""Figures of versions: what their traces hold, for nothing, one row, many rows and names like HTML."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import plotly.graph_objects as go
import pytest

from mm_core.dashboard.figures import versions
from mm_core.dashboard.palette import DARK, LIGHT, Palette
from mm_core.domain.lifecycle import Status
from mm_core.evaluation.versions import StatusSpan

NOW = datetime(2025, 6, 1, tzinfo=UTC)
HTML = "<b>v1</b>"


def _span(version: str, status: Status, since: int, until: int | None) -> StatusSpan:
    """Return a span that began and ended so many hours before now."""
    end = NOW - timedelta(hours=until) if until is not None else None
    return StatusSpan(version, status, NOW - timedelta(hours=since), end, HTML, HTML)


def _every_figure(count: int, colors: Palette) -> list[go.Figure]:
    names = [f"{HTML}{at}" for at in range(count)]
    spans = [_span(name, list(Status)[at % 5], at + 2, at if at % 2 else None) for at, name in enumerate(names)]
    points = [(NOW - timedelta(days=at), float(at), name, HTML if at % 2 else "") for at, name in enumerate(names)]
    return [
        versions.status_timeline(spans, NOW, NOW, colors),
        versions.metric_lines({HTML: points, "other": points[:1]}, HTML, colors),
        versions.disk_bars([(name, 10, 3) for name in names], colors),
        versions.confusion([[1] * count] * count, names, colors),
        versions.paired_bars(names, {"A": [None] * count, "B": [0.5] * count}, "share", colors),
    ]


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_every_figure_is_drawn_from_whatever_there_is_and_names_are_never_tags(count: int, colors: Palette) -> None:
    for figure in _every_figure(count, colors):
        document = figure.to_json()
        assert figure.layout.height >= 120
        assert figure.layout.font.color == colors.text
        assert "\\u003cb\\u003e" not in document
        assert "<b>" not in document


def test_what_is_deployed_is_the_thickest_bar_and_what_lasts_ends_now() -> None:
    spans = [_span("v1", Status.SHADOW, 10, 5), _span("v1", Status.DEPLOYED, 5, None)]
    figure = versions.status_timeline(spans, NOW, None, LIGHT)
    shadow, deployed = figure.data
    assert (shadow.name, deployed.name) == ("shadow (1)", "deployed (1)")
    assert deployed.width > shadow.width
    assert deployed.x[0] == timedelta(hours=5).total_seconds() * 1000
    assert deployed.customdata[0][1] == "now"


def test_a_deployment_of_a_second_in_a_year_can_be_seen() -> None:
    second = StatusSpan("v2", Status.DEPLOYED, NOW, NOW + timedelta(seconds=1), "ann", "")
    figure = versions.status_timeline([_span("v1", Status.SHADOW, 24 * 365, None), second], NOW, None, LIGHT)
    assert figure.data[1].x[0] == pytest.approx(timedelta(days=365).total_seconds() * 1000 * versions.NARROWEST)


def test_a_confusion_matrix_shows_counts_and_shares_of_the_true_class() -> None:
    (cells,) = versions.confusion([[3, 1], [0, 0]], ["UP", "DOWN"], LIGHT).data
    assert list(cells.text[0]) == ["3<br>75%", "1<br>25%"]
    assert list(cells.z[1]) == [0.0, 0.0]


def test_disk_use_adds_up_to_what_each_model_takes() -> None:
    used, rest = versions.disk_bars([("a", 10, 3), ("b", 4, 4)], LIGHT).data
    assert (list(used.y), list(used.x), list(rest.x)) == (["b", "a"], [4, 3], [0, 7])
