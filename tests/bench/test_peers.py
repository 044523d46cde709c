"""Peers that are not there are said to be missing, and nothing is left of a benchmark that is refused."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.running import run_benchmark


def test_without_mlflow_its_column_is_empty_and_the_run_says_so(tmp_path: Path, work_place: Path) -> None:
    done = run_benchmark("--only", "watching", "--json", str(tmp_path / "figures.json"), groups=2)
    assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "figures.json").read_text())["table"]
    assert {row["mlflow"] for row in table} == {"–"}
    assert "No interpreter with MLflow was given" in done.stdout


def test_an_interpreter_without_mlflow_is_refused_before_anything_is_measured(work_place: Path) -> None:
    done = run_benchmark("--mlflow", "/bin/false", groups=2)
    assert done.returncode == 1
    assert (
        done.stderr == "'/bin/false' is no Python that has MLflow. Make one as bench/README.md says, or leave it out.\n"
    )
    assert list(work_place.iterdir()) == []
