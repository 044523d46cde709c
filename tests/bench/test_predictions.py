"""The benchmark of predictions runs from end to end and says what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent


def test_predictions_of_both_libraries_are_measured(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(PROJECT / "bench" / "predictions.py"), "--rounds", "5", "--trees", "3"),
            *("--json", str(tmp_path / "out.json")),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "out.json").read_text())
    for library in ("lightgbm", "xgboost"):
        assert all(figure > 0 for figure in figures[library].values())
        assert {"first prediction, ms", "1 rows, p50 ms", "100 rows, p50 ms"} <= figures[library].keys()
    assert all(name in done.stdout for name in figures["lightgbm"])
