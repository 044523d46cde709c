"""The benchmark of the dashboard runs from end to end and says what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.running import BENCH


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory with a short path: Chromium puts a socket into it, whose path has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="mm-") as path:
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


@pytest.mark.slow
@pytest.mark.browser
def test_a_quick_run_measures_every_budget_and_leaves_nothing_behind(scratch: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH / "dashboard.py"), "--quick", "--groups", "10", "--factors", "20"]
    done = subprocess.run(
        [*command, "--trees", "3", "--json", str(tmp_path / "figures.json")],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert list(figures["views"]) == ["overview", "config"]
    for name, view in figures["views"].items():
        assert name in done.stdout
        assert None not in [*view["open_seconds"], *view["open_seconds_with_empty_cache"]], "the content was not shown"
        assert view["sent_bytes"] > 0
        assert view["script"]["problem"] == ""
        assert min(figures["streamlit_alone"]["title_seconds"]) < view["open_seconds"][0]
        assert all(run["wall_ms"] > 0 for run in [view["script"]["first"], *view["script"]["again"]])
    assert figures["memory_mb"]["warm"] > figures["memory_mb"]["idle"] > 0
    assert ("MISSED" in done.stdout) == (
        any(view["missed"] for view in figures["views"].values()) or figures["memory_mb"]["of_a_session"] >= 50
    )
    assert list(scratch.iterdir()) == []
