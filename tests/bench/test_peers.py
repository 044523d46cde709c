"""Peers that are not there are said to be missing, and nothing is left of a benchmark that is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROJECT / "bench" / "run.py"), "--quick", "--threads", "--groups", "2"]
    return subprocess.run(
        [*command, "--factors", "20", "--trees", "3", "--depth", "3", *options],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the benchmark makes its directory of work."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.delenv("BENCH_MLFLOW_PYTHON", raising=False)
    return path


def test_without_mlflow_its_column_is_empty_and_the_run_says_so(tmp_path: Path, scratch: Path) -> None:
    done = run("--only", "watching", "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "figures.json").read_text())["table"]
    assert {row["mlflow"] for row in table} == {"–"}
    assert "No interpreter with MLflow was given" in done.stdout


def test_an_interpreter_without_mlflow_is_refused_before_anything_is_measured(scratch: Path) -> None:
    done = run("--mlflow", "/bin/false")
    assert done.returncode == 1
    assert (
        done.stderr == "'/bin/false' is no Python that has MLflow. Make one as bench/README.md says, or leave it out.\n"
    )
    assert list(scratch.iterdir()) == []
