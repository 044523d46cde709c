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
from pathlib import Path
from typing import IO

import mm_core
from mm_core import strict_json
from mm_core.artifacts.layouts import Listed
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_group import GroupReading
from mm_core.artifacts.reading_defects import Reading, lost, read_or_lose
from mm_core.artifacts.reading_worker import Answer, Assignment, Request
from mm_core.artifacts.version_files import VersionReading
from mm_core.domain.files import FileRole, ModelFile
from mm_core.errors import ReaderNotStarted

FEWEST_FOR_CHILDREN = 24
"""Below this many groups and versions, starting a child takes longer than reading them here."""

LARGEST_READ_HERE = 4 << 20
"""Bytes of a file: hostile ones of this size take 110 MB to read, larger ones are read where memory has an end.

A child takes 110 ms to start; a sound model of this size takes some 50 ms to check.
"""

LOOK_SECONDS = 0.5
"""Who waits for a reading looks this often whether anybody is left to make it."""

BOOSTER_ENDINGS = (".pkl", ".json")
"""Of the models of a run, which are read; the others are listed, however large they are."""

ENDED = "Reading this took too long, or ended the process that read it."
ENDED_REMEDY = "Check the sizes of the files and save them again."


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """How many bytes of a large version's model were read, by the key of its files."""

    key: str
    read_bytes: int


Said = Reading | ReadSoFar | OSError
"""What a thread that reads has to say; an error is what kept a child from being started."""


def read_listed(root: Path, listed: Sequence[Listed], limits: ReadingLimits) -> Iterator[Reading | ReadSoFar]:
    """Yield a reading of every entry in ``listed``, in the order in which they are done, and how far large ones are.

    From `FEWEST_FOR_CHILDREN` entries on, one child process a core does the reading; below that, one reads each entry
    with a file above `LARGEST_READ_HERE`. A child that dies, or is silent for longer than ``limits.group_seconds``,
    costs what it read a finding and is replaced. Raises `ReaderNotStarted` where none can be started just now: then
    nothing is known of what was not read.
    """
    apart = listed
    if len(listed) < FEWEST_FOR_CHILDREN:
        apart = [files for files in listed if any(map(_is_read_apart, files.files))]
        large = {files.key for files in apart}
        for files in listed:
            if files.key not in large:
                yield read_or_lose(root, files, limits)
    if apart:
        yield from _read_apart(root, apart, limits)


def _is_read_apart(file: ModelFile) -> bool:
    if file.role is FileRole.RUN_MODEL and not file.path.endswith(BOOSTER_ENDINGS):
        return False
    return file.size_bytes > LARGEST_READ_HERE and file.role is not FileRole.OTHER


def booster_bytes(files: Listed) -> int:
    """Return the size of a version's model, 0 for all else."""
    return sum(file.size_bytes for file in files.files if file.role is FileRole.BOOSTER_TEXT)


def _read_apart(root: Path, listed: Sequence[Listed], limits: ReadingLimits) -> Iterator[Reading | ReadSoFar]:
    waiting: queue.SimpleQueue[Listed] = queue.SimpleQueue()
    for files in sorted(listed, key=booster_bytes, reverse=True):  # what takes longest must not begin last
        waiting.put(files)
    done: queue.Queue[Said] = queue.Queue(maxsize=2)
    stop = threading.Event()
    crew = [
        threading.Thread(target=_work, args=(root, limits, waiting, done, stop), name=f"reader-{number}", daemon=True)
        for number in range(min(os.cpu_count() or 1, len(listed)))
    ]
    for thread in crew:
        thread.start()
    try:
        left = len(listed)
        while left:
            found = _next_of(done, crew)
            left -= not isinstance(found, ReadSoFar)
            yield found
    finally:
        stop.set()
        while any(thread.is_alive() for thread in crew):
            while not done.empty():
                done.get_nowait()
            for thread in crew:
                thread.join(timeout=0.02)


def _next_of(done: queue.Queue[Said], crew: Sequence[threading.Thread]) -> Reading | ReadSoFar:
    """Return the next reading; raise what kept a child from being started, or that no thread is left to read."""
    while True:
        crew_is_gone = not any(thread.is_alive() for thread in crew)
        try:
            found = done.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            if crew_is_gone:
                raise RuntimeError("Every thread that reads groups ended before its work was done.") from None
            continue
        if isinstance(found, OSError):
            raise ReaderNotStarted(
                f"No process could be started to read groups ({found.strerror}). What is in service stays; give this "
                "machine memory and processes to spare, then refresh again."
            ) from found
        return found


def _work(
    root: Path,
    limits: ReadingLimits,
    waiting: queue.SimpleQueue[Listed],
    done: queue.Queue[Said],
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
                try:
                    worker = _Worker(root, limits)
                except OSError as error:  # no more processes, memory or files just now: nothing is known of the group
                    done.put(error)
                    return
            reading = worker.read(files, done.put)
            if reading is None:
                worker.close()
                worker = None
                reading = lost(files, ENDED, ENDED_REMEDY)
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
                self._send(strict_json.encode(Request.of(files)))
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
        if answer.group is not None:
            return GroupReading(answer.group, model_json, onnx)
        return VersionReading(answer.version, model_json) if answer.version is not None else None

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
