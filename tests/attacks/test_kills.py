"""SIGKILL at random moments, in short; by hand: python -m tests.attacks.kills --rounds 1000."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent


def test_kills_at_random_moments_lose_nothing_tear_nothing_and_leave_no_lock() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.attacks.kills", "--rounds", "30"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "30 rounds in " in done.stdout
    acknowledged = done.stdout.rpartition("Acknowledged:")[2]
    assert " save" in acknowledged, "writers did nothing before they were killed"
    assert " promote" in acknowledged
    assert " read" in acknowledged
