"""A child process that reads groups and versions: one JSON line in, JSON lines and the raw bytes out."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mm_core import strict_json
from mm_core.artifacts.layouts import GroupFiles, VersionFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_group import read_group
from mm_core.artifacts.read_version import read_version
from mm_core.domain.groups import Group
from mm_core.domain.versions import Version

IDLE_PRIORITY = 10
"""Niceness of whoever reads artifacts: bots that pull meanwhile come first."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is told at its start."""

    root: str
    limits: ReadingLimits


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be read: one of the two."""

    group: GroupFiles | None = None
    version: VersionFiles | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read, or ``read_bytes`` alone while a version is still being read.

    Of a group, ``model_json_bytes`` and ``onnx_bytes`` say how many raw bytes of model JSON and of ONNX follow the
    line; None: there are none.
    """

    group: Group | None = None
    model_json_bytes: int | None = None
    onnx_bytes: int | None = None
    version: Version | None = None
    read_bytes: int | None = None


def main() -> None:
    """Answer requests from standard input until it closes."""
    os.nice(IDLE_PRIORITY)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    assignment = strict_json.decode_as(requests.readline(), Assignment)
    limit = assignment.limits.worker_memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    root = Path(assignment.root)
    for line in requests:
        request = strict_json.decode_as(line, Request)
        if request.group is not None:
            _answer_group(root, request.group, assignment.limits, answers)
        elif request.version is not None:
            _answer_version(root, request.version, assignment.limits, answers)


def _answer_group(root: Path, files: GroupFiles, limits: ReadingLimits, answers: BinaryIO) -> None:
    reading = read_group(root, files, limits)
    answer = Answer(
        reading.group,
        None if reading.model_json is None else len(reading.model_json),
        None if reading.onnx is None else len(reading.onnx),
    )
    answers.write(strict_json.encode(answer) + b"\n")
    answers.write(reading.model_json or b"")
    answers.write(reading.onnx or b"")
    answers.flush()


def _answer_version(root: Path, files: VersionFiles, limits: ReadingLimits, answers: BinaryIO) -> None:
    def tell(read_bytes: int) -> None:
        answers.write(strict_json.encode(Answer(read_bytes=read_bytes)) + b"\n")
        answers.flush()

    version = read_version(root, files, limits, tell)
    answers.write(strict_json.encode(Answer(version=version)) + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
