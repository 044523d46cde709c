"""Processes that publish, to be run beside each other and to be killed.

``python -m tests.versions.publishers ROOT TIMES`` publishes that often and prints each version; 0 goes on for ever.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path

from mm_core import versions

FILE_BYTES = 60_000
WHOLE = {"lstm_model.h5": FILE_BYTES, "gru_model.pt": FILE_BYTES}


def publish_one(root: Path, number: int) -> str:
    """Publish a run that bears this process and a number; return its version."""
    with versions.publish(root) as run:
        for name, size in WHOLE.items():
            (run.path / name).write_bytes(bytes(size))
        run.save_metadata(note=f"{os.getpid()}-{number}", performance_metrics={"lstm": {"accuracy": 0.5}})
    assert run.version is not None
    return run.version


def broken(root: Path) -> list[str]:
    """Return what is half visible below a root: a version that is not whole, a latest that leads to none."""
    problems = []
    runs = versions.list_versions(root)
    for run in runs:
        if {file.name: file.size_bytes for file in run.files} != WHOLE or run.metadata is None:
            problems.append(f"{run.version} has {os.listdir(run.path)}")
    found = versions.current_version(root)
    if runs and (found.source == "newest" or found.problem is not None or not (root / str(found.version)).is_dir()):
        problems.append(f"latest: {found}")
    return problems


def note_of(root: Path, version: str) -> str:
    """Return which publication a version is of."""
    return str(json.loads((root / version / "training_metadata.json").read_bytes())["note"])


def main() -> None:
    """Publish as the arguments say."""
    root, times = Path(sys.argv[1]), int(sys.argv[2])
    for number in range(times) if times else itertools.count():
        print(publish_one(root, number), flush=True)


if __name__ == "__main__":
    main()
