"""Many groups read at once by child processes that may die without harm."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import mm_core
from mm_core import strict_json
from mm_core.artifacts.layouts import GroupFiles
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.read_group import GroupReading
from mm_core.artifacts.reading_defects import lost_group, read_or_lose
from mm_core.artifacts.reading_worker import Answer, Assignment
from mm_core.errors import ReaderNotStarted

FEWEST_FOR_CHILDREN = 24
"""Below this many groups, starting a child takes longer than reading them here."""

LARGEST_READ_HERE = 4 << 20
"""Bytes of a file: hostile ones of this size take 110 MB to read, larger ones are read where memory has an end.

A child takes 110 ms to start; a sound model of this size takes some 50 ms to check.
"""

LOOK_SECONDS = 0.5
"""Who waits for a reading looks this often whether anybody is left to make it."""

ENDED = "Reading this group took too long, or ended the process that read it."
ENDED_REMEDY = "Check the sizes of its files and save them again."


def read_groups(root: Path, listed: Sequence[GroupFiles], limits: ReadingLimits) -> Iterator[GroupReading]:
    """Yield a reading of every group in ``listed``, in the order in which they are done.

    From `FEWEST_FOR_CHILDREN` groups on, one child process a core does the reading; below that, one reads each group
    with a file above `LARGEST_READ_HERE`. A child that dies, or takes longer than ``limits.group_seconds`` for a group,
    costs that group a finding and is replaced. Raises `ReaderNotStarted` where none can be started just now: then
    nothing is known of the groups that were not read.
    """
    apart = listed
    if len(listed) < FEWEST_FOR_CHILDREN:
        apart = [files for files in listed if any(file.size_bytes > LARGEST_READ_HERE for file in files.files)]
        large = {files.group_key for files in apart}
        for files in listed:
            if files.group_key not in large:
                yield read_or_lose(root, files, limits)
    if apart:
        yield from _read_apart(root, apart, limits)


def _read_apart(root: Path, listed: Sequence[GroupFiles], limits: ReadingLimits) -> Iterator[GroupReading]:
    waiting: queue.SimpleQueue[GroupFiles] = queue.SimpleQueue()
    for files in listed:
        waiting.put(files)
    done: queue.Queue[GroupReading | OSError] = queue.Queue(maxsize=2)
    stop = threading.Event()
    crew = [
        threading.Thread(target=_work, args=(root, limits, waiting, done, stop), name=f"reader-{number}", daemon=True)
        for number in range(min(os.cpu_count() or 1, len(listed)))
    ]
    for thread in crew:
        thread.start()
    try:
        for _ in listed:
            yield _next_of(done, crew)
    finally:
        stop.set()
        while any(thread.is_alive() for thread in crew):
            while not done.empty():
                done.get_nowait()
            for thread in crew:
                thread.join(timeout=0.02)


def _next_of(done: queue.Queue[GroupReading | OSError], crew: Sequence[threading.Thread]) -> GroupReading:
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
    waiting: queue.SimpleQueue[GroupFiles],
    done: queue.Queue[GroupReading | OSError],
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
            reading = worker.read(files)
            if reading is None:
                worker.close()
                worker = None
                reading = lost_group(files, ENDED, ENDED_REMEDY)
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

    def read(self, files: GroupFiles) -> GroupReading | None:
        """Return the child's answer; None when the child died or had to be killed."""
        watchdog = threading.Timer(self._seconds, self._process.kill)
        watchdog.start()
        try:
            self._send(strict_json.encode(files))
            line = self._answers.readline()
            answer = strict_json.decode_as(line, Answer)
            model_json = self._receive(answer.model_json_bytes)
            onnx = self._receive(answer.onnx_bytes)
        except (strict_json.NotJson, OSError, EOFError):
            return None
        finally:
            watchdog.cancel()
        return GroupReading(answer.group, model_json, onnx)

    def close(self) -> None:
        """End the child and wait for it."""
        self._process.kill()
        self._process.communicate()

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
