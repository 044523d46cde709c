"""The benchmark of second copies saves in two states, of which one gets none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.running import BENCH


def test_saves_with_copies_and_without_are_measured_in_pairs(tmp_path: Path) -> None:
    figures, work = tmp_path / "figures.json", tmp_path / "work"
    sizes = ["--groups", "20", "--factors", "5", "--saves", "3"]
    done = subprocess.run(
        [sys.executable, str(BENCH / "saves.py"), *sizes, "--json", str(figures), "--work", str(work)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())["ms"]["20"]
    assert {kind: len(samples) for kind, samples in found.items()} == {"with copies": 3, "without": 3}
    assert min(map(min, found.values())) > 0
    assert "\n| 20 " in done.stdout
    for kind, copies in (("with-copies", 23), ("without", 0)):
        data = work / f"data-20-{kind}"
        assert len(list((data / "configs").glob("*/revisions/*/*.json"))) == 23
        assert len(list((data / "copies" / "configs").glob("*/revisions/*/*.json"))) == copies
