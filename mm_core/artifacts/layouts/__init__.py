"""Directory conventions: one module each behind `Layout`, listed here, most specific first."""

from __future__ import annotations

from mm_core.artifacts.layouts.flat_groups import FlatGroups
from mm_core.artifacts.layouts.protocol import Claim, GroupFiles, Layout, Listed, Siblings, VersionFiles, version_key
from mm_core.artifacts.layouts.timestamped_runs import TimestampedRuns
from mm_core.artifacts.layouts.versions import Versions

LAYOUTS: tuple[Layout, ...] = (TimestampedRuns(), Versions(), FlatGroups())

__all__ = ["LAYOUTS", "Claim", "GroupFiles", "Layout", "Listed", "Siblings", "VersionFiles", "version_key"]
