"""The memory profile runs from end to end and says what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.running import BENCH


@pytest.mark.slow
def test_every_stage_is_measured_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    done = subprocess.run(
        [sys.executable, str(BENCH / "memory.py"), "--groups", "3", "--factors", "5", "--json", "out.json"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "scratch")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "out.json").read_text())
    server = [name for name, _ in figures["server"]]
    assert server == ["python alone", "the server's code and libraries", "3 parsed groups", "3 payloads made and kept"]
    assert [name for name, _ in figures["dashboard"]][-1] == "session 4"
    assert all(size > 5 for _, size in [*figures["server"], *figures["dashboard"]])
    assert figures["dashboard"][2][1] > figures["dashboard"][1][1], "pandas and plotly are not free"
    assert any("mm_core/" in line for line, _ in figures["holders"])
    assert all(name in done.stdout for name in server)
    assert list((tmp_path / "scratch").iterdir()) == []
