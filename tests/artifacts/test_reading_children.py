"""Groups read by child processes: what keeps them from it is an error, never a wait without an end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mm_core.artifacts import reading_pool
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import list_groups
from mm_core.artifacts.reading_pool import read_listed
from mm_core.errors import ReaderNotStarted

Write = Callable[..., Path]


@pytest.fixture
def root(write_group: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with three groups that are read by children."""
    monkeypatch.setattr(reading_pool, "FEWEST_FOR_CHILDREN", 1)
    for symbol in ("AAA", "BBB", "CCC"):
        root = write_group(f"{symbol}_r")
    return root


def _read(root: Path) -> list[str]:
    listing = list_groups(root, ReadingLimits())
    return sorted(reading.group.group_key for reading in read_listed(root, listing.groups, ReadingLimits()))


def test_where_no_child_can_be_started_reading_ends_with_the_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = reading_pool.subprocess.Popen

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(reading_pool.subprocess, "Popen", refuse)
    with pytest.raises(ReaderNotStarted, match="temporarily unavailable"):
        _read(root)
    monkeypatch.setattr(reading_pool.subprocess, "Popen", honest)
    assert _read(root) == ["AAA_r", "BBB_r", "CCC_r"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_where_every_thread_that_reads_ended_nobody_waits_for_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("nobody expected this")

    monkeypatch.setattr(reading_pool._Worker, "read", fail)
    with pytest.raises(RuntimeError, match="ended before its work was done"):
        _read(root)
