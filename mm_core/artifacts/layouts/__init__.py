"""Directory conventions: one module each behind `Layout`, listed here, most specific first."""

from __future__ import annotations

from mm_core.artifacts.layouts.flat_groups import FlatGroups
from mm_core.artifacts.layouts.protocol import Claim, GroupFiles, Layout, Siblings

LAYOUTS: tuple[Layout, ...] = (FlatGroups(),)

__all__ = ["LAYOUTS", "Claim", "GroupFiles", "Layout", "Siblings"]
