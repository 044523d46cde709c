"""The benchmark of versions runs from end to end, and its budgets are judged by what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.running import BENCH


def _run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "versions.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_listings_of_both_kinds_and_models_of_two_sizes_are_measured(tmp_path: Path, work_place: Path) -> None:
    figures = tmp_path / "figures.json"
    done = _run("--versions", "8", "--features", "5", "--rounds", "1", "--model-mb", "50", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    assert [title.partition(" ")[0] for title in found["listings"]] == ["8"] * 4
    for title, samples in found["listings"].items():
        assert title in done.stdout
        assert 0 < samples["processor_ms"][0] < 60_000
    small, large = found["summaries"]["5"], found["summaries"]["50"]
    assert large["trees"] >= 9 * small["trees"] > 0
    assert large["reader_mb"] > 10, "another process read it"
    assert large["told"] > small["told"] >= 1
    assert list(work_place.iterdir()) == []


@pytest.fixture
def versions(benchmark_modules: None) -> Any:
    """The benchmark's module."""
    import versions

    return versions


def test_the_median_listing_has_to_be_below_the_budget(versions: Any) -> None:
    listings = {
        "a": {"ms": [150.0, 199.0, 900.0], "processor_ms": [90.0]},
        "b": {"ms": [200.0], "processor_ms": [90.0]},
    }
    assert [row[-1] for row in versions.listing_rows(listings)[1:]] == ["met", "MISSED"]


def test_memory_may_not_grow_with_the_size_of_a_model(versions: Any) -> None:
    names = ("trees", "seconds", "processor_seconds", "asker_mb", "told", "longest_silence_seconds")
    small = {**dict.fromkeys(names, 1.0), "reader_mb": 40.0}
    for grown, verdict in ((1.0, "met"), (1.19, "met"), (1.3, "MISSED")):
        rows = versions.summary_rows({5: small, 50: {**small, "reader_mb": 40.0 * grown}})
        assert [row[-1] for row in rows if row[-1] in ("met", "MISSED")] == [verdict]


def test_a_model_that_nobody_else_would_read_is_refused_before_anything_is_written(work_place: Path) -> None:
    done = _run("--model-mb", "10")
    assert (done.returncode, "--model-mb must be 50 or more" in done.stderr) == (2, True)
    assert list(work_place.iterdir()) == []
