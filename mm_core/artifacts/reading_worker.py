"""A child process that reads groups: one JSON line in, one JSON line and the raw bytes out."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from mm_core import strict_json
from mm_core.artifacts.layouts import GroupFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.reading_defects import read_or_lose
from mm_core.domain.groups import Group

IDLE_PRIORITY = 10
"""Niceness of whoever reads artifacts: bots that pull meanwhile come first."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is told at its start."""

    root: str
    limits: ReadingLimits


@dataclass(frozen=True, slots=True)
class Answer:
    """A group, and how many raw bytes of model JSON and of ONNX follow the line; None: there are none."""

    group: Group
    model_json_bytes: int | None
    onnx_bytes: int | None


def main() -> None:
    """Answer assignments from standard input until it closes."""
    os.nice(IDLE_PRIORITY)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    assignment = strict_json.decode_as(requests.readline(), Assignment)
    _limit_memory(assignment.limits.worker_memory_bytes)
    root = Path(assignment.root)
    for line in requests:
        reading = read_or_lose(root, strict_json.decode_as(line, GroupFiles), assignment.limits)
        answer = Answer(
            reading.group,
            None if reading.model_json is None else len(reading.model_json),
            None if reading.onnx is None else len(reading.onnx),
        )
        answers.write(strict_json.encode(answer) + b"\n")
        answers.write(reading.model_json or b"")
        answers.write(reading.onnx or b"")
        answers.flush()


def _limit_memory(most: int) -> None:
    """Bound this process's address space; a limit that it was started with, and that is lower, stays."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
