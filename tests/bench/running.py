"""How tests run the benchmark: as a process, small and short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent.parent / "bench"


def run_benchmark(*options: str, groups: int = 4) -> subprocess.CompletedProcess[str]:
    """Run ``bench/run.py --quick`` with Python threads as the load."""
    command = [sys.executable, str(BENCH / "run.py"), "--quick", "--threads", "--groups", str(groups)]
    return subprocess.run(
        [*command, "--factors", "20", "--trees", "5", "--depth", "3", *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
