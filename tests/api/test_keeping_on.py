"""What the owner of the state does beside the requests goes on, whatever fails once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mm_core.api import process, supervisor
from mm_core.errors import StoreCorrupt
from mm_core.registry import Registry
from mm_core.settings import Settings
from tests.waiting import wait_until


def _raising(*errors: Exception) -> Callable[..., Any]:
    left = list(errors)

    def call(*_: object, **__: object) -> None:
        if left:
            raise left.pop(0)

    return call


def test_a_worker_that_could_not_be_started_is_started_when_it_can(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    fail, start = _raising(BlockingIOError(11, "Resource temporarily unavailable"), KeyError("never")), subprocess.Popen

    def popen(*_: object, **__: object) -> subprocess.Popen[bytes]:
        fail()
        return start([sys.executable, "-c", "import time; time.sleep(60)"])

    monkeypatch.setattr(supervisor.subprocess, "Popen", popen)
    ended: list[int] = []
    workers = supervisor._Workers(settings, [[]], tmp_path / "owner", tmp_path, ended.append)
    with capture_logs() as logs:
        workers.start()
        wait_until(lambda: workers.running() == 1)
    assert [(log["event"], log["worker"], "exc_info" in log) for log in logs] == [
        ("worker_not_kept", 0, False),
        ("worker_not_kept", 0, True),
    ]
    workers.stop(time.monotonic() + 2)
    assert (workers.running(), len(ended)) == (0, 1)


@pytest.mark.parametrize("error", [StoreCorrupt("damaged"), KeyError("nobody expected this")], ids=["store", "defect"])
def test_copies_that_cannot_be_completed_keep_no_scan_from_being_restored(
    registry: Registry,
    write_group: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    registry.registrations.register("m", str(write_group()))
    for path in (tmp_path / "data" / "scans").rglob("*.json"):
        path.unlink()
    monkeypatch.setattr(registry.store, "complete_copies", _raising(error))
    monkeypatch.setattr(process.gc, "freeze", lambda: None)
    process._settle(registry)
    assert registry.model("m")[1].symbols() == ("SOLUSDT",)
