"""The benchmark runs from end to end and says what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_a_quick_run_measures_every_budget_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    command = [sys.executable, str(PROJECT / "bench" / "run.py"), "--quick", "--groups", "4", "--factors", "20"]
    done = subprocess.run(
        [*command, "--trees", "5", "--depth", "3", "--json", str(tmp_path / "figures.json")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "figures.json").read_text())["table"]
    judged = {row["budget"] for row in table if row["verdict"] in {"met", "MISSED"}}
    assert judged == {
        "> 100 × plain", "> 1/3 of nginx", "> 1/2 of nginx", "< 1.2 × alone", "< 100 ms", "< 120 MB", "< 1 s",
        "< 2 times",
    }  # fmt: skip
    for row in table:
        assert row["figure"] in done.stdout
    assert ("MISSED" in done.stdout) == any(row["verdict"] == "MISSED" for row in table)
    assert list((tmp_path / "scratch").iterdir()) == []
