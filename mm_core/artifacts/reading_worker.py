"""A child process that reads groups and versions: one JSON line in, JSON lines and the raw bytes out."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from mm_core import strict_json
from mm_core.artifacts.layouts import GroupFiles, Listed, VersionFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_group import GroupReading
from mm_core.artifacts.reading_defects import Reading, read_or_lose
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

    @classmethod
    def of(cls, files: Listed) -> Request:
        """Return the request to read this."""
        return cls(group=files) if isinstance(files, GroupFiles) else cls(version=files)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read, or ``read_bytes`` alone while a version is still being read.

    ``model_json_bytes`` and ``onnx_bytes`` say how many raw bytes of model JSON and of ONNX follow the line; None:
    there are none.
    """

    group: Group | None = None
    model_json_bytes: int | None = None
    onnx_bytes: int | None = None
    version: Version | None = None
    read_bytes: int | None = None


def main() -> None:
    """Answer requests from standard input until it closes."""
    os.nice(IDLE_PRIORITY)
    requests = sys.stdin.buffer
    assignment = strict_json.decode_as(requests.readline(), Assignment)
    _limit_memory(assignment.limits.worker_memory_bytes)
    root = Path(assignment.root)
    for line in requests:
        request = strict_json.decode_as(line, Request)
        files = request.group or request.version
        assert files is not None
        _answer(read_or_lose(root, files, assignment.limits, lambda read: _say(Answer(read_bytes=read))))


def _answer(reading: Reading) -> None:
    model_json = reading.model_json
    size = None if model_json is None else len(model_json)
    if isinstance(reading, GroupReading):
        onnx = reading.onnx
        answer = Answer(reading.group, size, None if onnx is None else len(onnx))
        _say(answer, model_json or b"", onnx or b"")
    else:
        _say(Answer(version=reading.version, model_json_bytes=size), model_json or b"")


def _say(answer: Answer, *raw: bytes) -> None:
    answers = sys.stdout.buffer
    answers.write(strict_json.encode(answer) + b"\n")
    for data in raw:
        answers.write(data)
    answers.flush()


def _limit_memory(most: int) -> None:
    """Bound this process's address space; a limit that it was started with, and that is lower, stays."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
