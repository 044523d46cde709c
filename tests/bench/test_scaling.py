"""The scaling runs measure every size and judge what grows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.running import BENCH


@pytest.fixture
def scaling(benchmark_modules: None) -> Any:
    """The benchmark's module."""
    import scaling

    return scaling


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "scaling.py"), "--quick", "--threads", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_quick_run_measures_every_figure_and_leaves_nothing_behind(tmp_path: Path, work_place: Path) -> None:
    sizes = ["--sizes", "3", "--others", "2", "--factors", "20", "--trees", "3", "--depth", "3"]
    done = run(*sizes, "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "figures.json").read_text())
    assert list(written["samples"]) == ["3"]
    names = [figure["figure"] for figure in written["table"]]
    assert len(set(names)) == len(names)
    for figure in written["table"]:
        assert figure["figure"] in done.stdout
        assert figure["3 groups"] != "–"
    for samples in written["samples"].values():
        assert samples["pulls_errors"] == [0]
        assert samples["changed_seconds"][0] >= 0.2, "nothing is served before the debounce is over"
        assert samples["owner_mb"][0] > samples["owner_private_mb"][0] > 0
        assert samples["worker_mb"][0] > samples["worker_private_mb"][0] > 0
        assert all(value > 0 for name in ("config_ms", "manifest_ms", "refresh_ms") for value in samples[name])
    judged = [figure["budget"] for figure in written["table"] if figure["verdict"] in {"met", "MISSED"}]
    assert judged == ["< 3 s", "< 3 s", "< 0.7 s", "< 3"]
    assert list(work_place.iterdir()) == []


def test_growth_is_that_of_the_last_two_sizes_and_every_size_has_to_keep_a_limit(scaling: Any) -> None:
    lines = [
        scaling.Figure("start", "start", "s", below=3.0),
        scaling.Figure("write", "write", "ms", growth_below=2.0),
        scaling.Figure("errors", "errors", ""),
    ]
    found = {
        10: {"start": [3.5, 3.5, 0.1], "write": [1.0], "errors": [0]},
        100: {"start": [1.0], "write": [4.0], "errors": [0]},
        1000: {"start": [2.0], "write": [6.0], "errors": [1200]},
    }
    assert scaling.table(lines, [10, 100, 1000], found) == [
        ("figure", "10 groups", "100 groups", "1,000 groups", "100 to 1,000: groups × 10", "budget", "verdict"),
        ("start", "3.50 s", "1.00 s", "2.00 s", "× 2.00", "< 3 s", "MISSED"),
        ("write", "1.00 ms", "4.00 ms", "6.00 ms", "× 1.50", "growth < 2", "met"),
        ("errors", "0", "0", "1,200", "–", "–", "–"),
    ]


def test_one_size_alone_says_nothing_of_growth(scaling: Any) -> None:
    line = scaling.Figure("write", "write", "ms", growth_below=2.0)
    (_, row) = scaling.table([line], [10], {10: {"write": [1.0]}})
    assert row == ("write", "1.00 ms", "–", "growth < 2", "–")


def test_sizes_that_do_not_rise_are_refused_before_anything_is_written() -> None:
    done = run("--sizes", "20", "10")
    assert done.returncode == 2
    assert "the smallest first" in done.stderr
