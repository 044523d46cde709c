"""Many groups and versions read at once by child processes that may die without harm."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import mm_core
from mm_core import strict_json
from mm_core.artifacts.layouts import GroupFiles, Listed, VersionFiles
from mm_core.artifacts.limits import MEBIBYTE, READING_RULES, ReadingLimits
from mm_core.artifacts.read_group import GroupReading, read_group
from mm_core.artifacts.read_version import read_version, version_of
from mm_core.artifacts.reading_worker import Answer, Assignment, Request
from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.files import FileRole
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, TrainingInfo
from mm_core.domain.versions import Version

FEWEST_FOR_CHILDREN = 24
"""Below this many groups and versions, starting a child takes longer than reading them here."""

MOST_TEXT_HERE = 16 * MEBIBYTE
"""Of boosters as text that are parsed in the process that asked: beyond, it has better things to do meanwhile."""


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """How many bytes of a large version's model were read, by the key of its files."""

    key: str
    read_bytes: int


Reading = GroupReading | Version


def read_listed(root: Path, listed: Sequence[Listed], limits: ReadingLimits) -> Iterator[Reading | ReadSoFar]:
    """Yield a reading of every entry in ``listed``, in the order in which they are done, and how far large ones are.

    From `FEWEST_FOR_CHILDREN` entries on, and for large models, one child process a core does the reading; a child
    that dies, or is silent for longer than ``limits.group_seconds``, costs what it read a finding and is replaced.
    """
    if len(listed) < FEWEST_FOR_CHILDREN and sum(map(booster_bytes, listed)) <= MOST_TEXT_HERE:
        for files in listed:
            yield (
                read_group(root, files, limits) if isinstance(files, GroupFiles) else read_version(root, files, limits)
            )
        return
    waiting: queue.SimpleQueue[Listed] = queue.SimpleQueue()
    for files in sorted(listed, key=booster_bytes, reverse=True):  # what takes longest must not begin last
        waiting.put(files)
    done: queue.Queue[Reading | ReadSoFar] = queue.Queue(maxsize=2)
    stop = threading.Event()
    crew = [
        threading.Thread(target=_work, args=(root, limits, waiting, done, stop), name=f"reader-{number}", daemon=True)
        for number in range(min(os.cpu_count() or 1, len(listed)))
    ]
    for thread in crew:
        thread.start()
    left = len(listed)
    try:
        while left:
            found = done.get()
            left -= not isinstance(found, ReadSoFar)
            yield found
    finally:
        stop.set()
        while any(thread.is_alive() for thread in crew):
            while not done.empty():
                done.get_nowait()
            for thread in crew:
                thread.join(timeout=0.02)


def booster_bytes(files: Listed) -> int:
    """Return the size of a version's model, 0 for all else."""
    if isinstance(files, GroupFiles):
        return 0
    return sum(file.size_bytes for file in files.files if file.role is FileRole.BOOSTER_TEXT)


def _work(
    root: Path,
    limits: ReadingLimits,
    waiting: queue.SimpleQueue[Listed],
    done: queue.Queue[Reading | ReadSoFar],
    stop: threading.Event,
) -> None:
    worker: _Worker | None = None
    try:
        while not stop.is_set():
            try:
                files = waiting.get_nowait()
            except queue.Empty:
                return
            if worker is None:
                worker = _Worker(root, limits)
            reading = worker.read(files, done.put)
            if reading is None:
                worker.close()
                worker = None
                reading = _lost(files)
            done.put(reading)
    finally:
        if worker is not None:
            worker.close()


class _Worker:
    """One child process and the pipes to it."""

    def __init__(self, root: Path, limits: ReadingLimits) -> None:
        project = str(Path(mm_core.__file__).parent.parent)
        self._seconds = limits.group_seconds
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mm_core.artifacts.reading_worker"],
            cwd=project,
            env={"PYTHONPATH": project, "PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._send(strict_json.encode(Assignment(str(root), limits)))

    def read(self, files: Listed, tell: Callable[[ReadSoFar], object]) -> Reading | None:
        """Return the child's answer; None when the child died or had to be killed."""
        try:
            with self._watched():
                self._send(strict_json.encode(_request(files)))
            while True:
                with self._watched():
                    answer = strict_json.decode_as(self._answers.readline(), Answer)
                    model_json = self._receive(answer.model_json_bytes)
                    onnx = self._receive(answer.onnx_bytes)
                if answer.read_bytes is None:
                    break
                tell(ReadSoFar(files.key, answer.read_bytes))
        except (strict_json.NotJson, OSError, EOFError):
            return None
        return answer.version if answer.group is None else GroupReading(answer.group, model_json, onnx)

    def close(self) -> None:
        """End the child and wait for it."""
        self._process.kill()
        self._process.communicate()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """End a child that says nothing for too long."""
        watchdog = threading.Timer(self._seconds, self._process.kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    @property
    def _answers(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # the missing answer tells

    def _receive(self, size: int | None) -> bytes | None:
        if size is None:
            return None
        data = self._answers.read(size)
        if len(data) != size:
            raise EOFError
        return data


def _request(files: Listed) -> Request:
    return Request(group=files) if isinstance(files, GroupFiles) else Request(version=files)


def _lost(files: Listed) -> Reading:
    finding = Finding(
        Severity.ERROR,
        "reader-ended",
        files.files[0].path,
        "Reading this took too long, or ended the process that read it.",
        "Check the sizes of the files and save them again.",
    )
    if isinstance(files, VersionFiles):
        return version_of(files, (finding,))
    symbol, _, return_name = files.group_key.partition("_")
    group = Group(
        group_key=files.group_key,
        symbol=symbol or files.group_key,
        return_name=return_name,
        files=files.files,
        factors=FactorTable(),
        ic=IcTable(),
        training=TrainingInfo(),
        model=None,
        onnx_sha256=None,
        findings=(finding,),
        read_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        rules=READING_RULES,
    )
    return GroupReading(group, None, None)
