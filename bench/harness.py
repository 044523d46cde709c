"""What the benchmarks have in common: a directory to work in, what is said on the way, the file of every sample."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def add_work_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--work DIR``, which `work_directory` takes."""
    parser.add_argument("--work", type=Path, metavar="DIR", help="work there and leave everything behind")


@contextmanager
def work_directory(asked: Path | None = None) -> Iterator[Path]:
    """Lend the directory that was ``asked`` for, which has to be empty and stays, else a temporary one, which goes."""
    work = asked or Path(tempfile.mkdtemp(prefix="model-manager-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    if any(work.iterdir()):
        raise SystemExit(f"{work} has been used. Give an empty directory.")
    try:
        yield work
    finally:
        if asked is None:
            shutil.rmtree(work, ignore_errors=True)


def say(text: str) -> None:
    """Tell whoever waits how far it is, beside the output that is kept."""
    print(text, file=sys.stderr, flush=True)


def write_samples(file: Path, document: Mapping[str, object]) -> None:
    """Write what was measured as JSON; the file's directory is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
