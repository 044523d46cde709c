"""Colours that colour-blind readers tell apart (Okabe and Ito), for a light and a dark page."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

Scale = tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by what they say; ``diverging`` runs from negative over zero to positive, ``missing`` is no number."""

    positive: str
    negative: str
    accent: str
    second: str
    quiet: str
    text: str
    grid: str
    surface: str
    missing: str
    diverging: Scale
    sequential: Scale
    fresh: str
    ageing: str
    stale: str


LIGHT = Palette(
    positive="#0072B2",
    negative="#D55E00",
    accent="#0072B2",
    second="#CC5C9A",
    quiet="#84919E",
    text="#1B2733",
    grid="#DFE5EA",
    surface="#FFFFFF",
    missing="#E3E7EB",
    diverging=((0.0, "#A84300"), (0.25, "#EFA06B"), (0.5, "#FFFFFF"), (0.75, "#7DB8DE"), (1.0, "#00548A")),
    sequential=((0.0, "#EAF3FA"), (0.5, "#6CB0DD"), (1.0, "#004C7A")),
    fresh="#008F66",
    ageing="#B77900",
    stale="#C44D00",
)
DARK = Palette(
    positive="#56B4E9",
    negative="#F0883E",
    accent="#56B4E9",
    second="#E48CBF",
    quiet="#65758A",
    text="#E6EDF3",
    grid="#2A3743",
    surface="#11181F",
    missing="#26313C",
    diverging=((0.0, "#FFB27A"), (0.25, "#A8561D"), (0.5, "#11181F"), (0.75, "#1F6E9E"), (1.0, "#8ED3FF")),
    sequential=((0.0, "#16212B"), (0.5, "#1F6E9E"), (1.0, "#A5DCFF")),
    fresh="#2FC79B",
    ageing="#E6A817",
    stale="#F0883E",
)


def palette() -> Palette:
    """Return the colours of the reader's theme."""
    return DARK if st.context.theme.type == "dark" else LIGHT
