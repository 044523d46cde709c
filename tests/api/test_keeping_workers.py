"""Workers are kept, and end with their owner, whatever fails beside that."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mm_core.api import supervisor, worker
from mm_core.settings import Settings
from tests.waiting import wait_until


@pytest.fixture
def workers(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[supervisor._Workers]:
    """One worker that sleeps; what is done for one that ended fails."""
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_SECONDS", 0.05)

    def forget(_: int) -> None:
        raise PermissionError("the file of its figures")

    found = supervisor._Workers(settings, [[]], tmp_path / "owner", tmp_path, forget)
    yield found
    found.stop(time.monotonic() + 2)


def _sleeper(*_: object, **__: object) -> subprocess.Popen[bytes]:
    return REALLY_START([sys.executable, "-c", "import time; time.sleep(60)"])


REALLY_START = subprocess.Popen


def test_a_worker_is_replaced_though_its_figures_cannot_be_forgotten(
    workers: supervisor._Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(*_: object, **__: object) -> subprocess.Popen[bytes]:
        started.append(_sleeper())
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    workers.start()
    wait_until(lambda: len(started) == 1)
    started[0].kill()
    wait_until(lambda: len(started) == 2)
    wait_until(lambda: workers.running() == 1)


def test_a_worker_ends_with_its_owner_though_its_figures_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def tell_memory(self) -> None:
            raise ValueError("mmap closed or invalid")

    ended = threading.Event()
    monkeypatch.setattr(worker, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(worker.os, "getppid", _owner_that_goes(after=20))
    monkeypatch.setattr(worker.os, "kill", lambda *_: ended.set())
    threading.Thread(target=worker._tell_memory, args=(Broken(),), daemon=True).start()
    threading.Thread(target=worker._end_with, args=(4242,), daemon=True).start()
    assert ended.wait(5)


def _owner_that_goes(after: int) -> Callable[[], int]:
    looks = iter(range(after))
    return lambda: 4242 if next(looks, None) is not None else 1
