"""Colours by the contrast formula of WCAG 2.2, worked out here."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st

from mm_core.dashboard.palette import DARK, LIGHT, Palette, palette

PROJECT = Path(__file__).parent.parent.parent
THEMES = pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])


def _channels(color: str) -> tuple[float, float, float]:
    assert len(color) == 7
    assert color[0] == "#"
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _contrast(one: str, other: str) -> float:
    linear = [
        [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _channels(color)]
        for color in (one, other)
    ]
    low, high = sorted(0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in linear)
    return (high + 0.05) / (low + 0.05)


def test_the_formula_is_that_of_the_guideline() -> None:
    assert _contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert _contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)  # the textbook near miss
    assert _contrast("#0000FF", "#FFFFFF") == pytest.approx(8.59, abs=0.005)


@THEMES
def test_text_is_readable_on_the_page_and_on_missing_cells(colors: Palette) -> None:
    assert _contrast(colors.text, colors.surface) >= 4.5
    assert _contrast(colors.text, colors.missing) >= 4.5


@THEMES
@pytest.mark.parametrize("name", ["positive", "negative", "accent", "second", "quiet", "fresh", "ageing", "stale"])
def test_whatever_draws_data_stands_out_from_the_page(colors: Palette, name: str) -> None:
    assert _contrast(getattr(colors, name), colors.surface) >= 3


@THEMES
def test_the_diverging_scale_is_symmetric_around_the_colour_of_the_page(colors: Palette) -> None:
    stops = [at for at, _ in colors.diverging]
    middle = len(stops) // 2
    assert stops == sorted(stops) == [1 - at for at in reversed(stops)]
    assert colors.diverging[middle] == (0.5, colors.surface)
    contrast = [_contrast(color, colors.surface) for _, color in colors.diverging]
    for side in (contrast[middle::-1], contrast[middle:]):
        assert side == sorted(set(side))
        assert side[-1] >= 4.5
    for below, above in zip(contrast[:middle], contrast[:middle:-1], strict=True):
        assert max(below, above) / min(below, above) < 1.5
    for at, color in colors.diverging:
        red, _, blue = _channels(color)
        assert at == 0.5 or (red > blue) == (at < 0.5)


@THEMES
def test_the_sequential_scale_grows_away_from_the_page(colors: Palette) -> None:
    contrast = [_contrast(color, colors.surface) for _, color in colors.sequential]
    assert [at for at, _ in colors.sequential] == [0.0, 0.5, 1.0]
    assert contrast == sorted(set(contrast))


@THEMES
def test_a_missing_cell_has_a_colour_that_no_number_has(colors: Palette) -> None:
    numbers = [color for scale in (colors.diverging, colors.sequential) for _, color in scale]
    assert colors.missing not in [*numbers, colors.surface]


@THEMES
def test_every_colour_is_spelled_with_six_digits(colors: Palette) -> None:
    for field in fields(colors):
        value = getattr(colors, field.name)
        for color in [value] if isinstance(value, str) else [stop for _, stop in value]:
            assert all(0 <= part <= 1 for part in _channels(color))


@pytest.mark.parametrize(("name", "colors"), [("light", LIGHT), ("dark", DARK)])
def test_figures_have_the_colours_of_the_pages_theme(name: str, colors: Palette) -> None:
    theme = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text())["theme"][name]
    assert (theme["backgroundColor"], theme["textColor"]) == (colors.surface, colors.text)
    assert theme["primaryColor"] == colors.accent


@pytest.mark.parametrize(("theme", "expected"), [("dark", DARK), ("light", LIGHT), (None, LIGHT)])
def test_the_palette_is_that_of_the_readers_theme(
    theme: str | None, expected: Palette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(st, "context", SimpleNamespace(theme=SimpleNamespace(type=theme)))
    assert palette() is expected
