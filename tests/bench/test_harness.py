"""Where benchmarks work: in an empty directory, of which nothing stays unless somebody asked for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def harness(benchmark_modules: None) -> Any:
    """The benchmark's module."""
    import harness

    return harness


def test_a_directory_that_was_used_is_refused_and_left_as_it_is(harness: Any, tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text("{}")
    with pytest.raises(SystemExit, match="Give an empty directory"), harness.work_directory(tmp_path):
        raise AssertionError("lent all the same")
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_a_directory_that_was_asked_for_is_made_and_stays(harness: Any, tmp_path: Path) -> None:
    asked = tmp_path / "some" / "where"
    with pytest.raises(KeyboardInterrupt), harness.work_directory(asked) as work:
        (work / "ours.log").write_text("")
        raise KeyboardInterrupt
    assert [path.name for path in asked.iterdir()] == ["ours.log"]


def test_a_temporary_directory_goes_however_the_benchmark_ends(
    harness: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), harness.work_directory() as work:
        assert list(tmp_path.iterdir()) == [work]
        (work / "artifacts").mkdir()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
