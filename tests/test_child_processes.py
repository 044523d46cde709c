"""Children that are asked over a socket: what becomes of the one who asks when they die, hang or lie."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mm_core.child_processes import Child, ChildLimits, ChildLost
from tests.waiting import wait_until

PROJECT = Path(__file__).parent.parent
MODULE = "tests.answering_child"
LIMITS = ChildLimits(memory_bytes=1 << 30, niceness=7, idle_seconds=60)


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(MODULE, LIMITS)
    yield child
    child.close()
    assert psutil.Process().children(recursive=True) == []


def test_a_question_has_its_answer_whatever_its_size(child: Child) -> None:
    for size in (0, 1, 8, 70_000, 5_000_001):
        block = os.urandom(size)
        assert child.ask(b"turn", memoryview(block), 20) == (b"turn", block[::-1])


@pytest.mark.parametrize(
    ("told", "how"),
    [
        (b"die", "ended by SIGKILL"),
        (b"fault", "ended by SIGABRT"),
        (b"exit", "ended with 3"),
        (b"half", "ended with 4"),
    ],
)
def test_a_child_that_ends_before_it_answers_is_lost_and_it_is_told_how(child: Child, told: bytes, how: str) -> None:
    with pytest.raises(ChildLost, match=how) as lost:
        child.ask(told, b"", 20)
    assert (lost.value.late, lost.value.idle, child.is_alive) == (False, False, False)
    with pytest.raises(ChildLost):
        child.ask(b"turn", b"", 20)


def test_an_answer_that_claims_more_than_there_is_memory_for_is_not_waited_for(child: Child) -> None:
    started = time.monotonic()
    with pytest.raises(ChildLost, match="does not answer"):
        child.ask(b"claim", b"", 20)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("told", [b"sleep", b"sleep uninterrupted"])
def test_a_child_that_takes_too_long_is_ended(child: Child, told: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(ChildLost, match="time was over") as lost:
        child.ask(told, b"", 0.3)
    assert lost.value.late
    assert time.monotonic() - started < 3
    assert not psutil.pid_exists(child.pid)


def test_a_child_that_does_not_read_what_it_is_sent_is_ended(child: Child) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(ChildLost, match="time was over"):
        child.ask(b"turn", bytes(20 << 20), 0.3)
    assert not psutil.pid_exists(child.pid)


def test_a_child_without_work_ends_itself_and_is_reaped() -> None:
    child = Child(MODULE, ChildLimits(memory_bytes=1 << 30, idle_seconds=0.2))
    child.ask(b"turn", b"", 20)
    wait_until(lambda: not child.is_alive)
    assert psutil.Process().children(recursive=True) == []
    with pytest.raises(ChildLost) as lost:
        child.ask(b"turn", b"", 20)
    assert lost.value.idle
    child.close()


def test_a_child_outlives_the_thread_that_started_it() -> None:
    found: list[Child] = []
    thread = threading.Thread(target=lambda: found.append(Child(MODULE, LIMITS)))
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert found[0].ask(b"turn", b"", 20) == (b"turn", b"")
    found[0].close()


def test_closing_ends_a_child_that_is_being_asked(child: Child) -> None:
    lost: list[ChildLost] = []

    def ask() -> None:
        with pytest.raises(ChildLost) as caught:
            child.ask(b"sleep", b"", 60)
        lost.append(caught.value)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    child.close()
    thread.join(timeout=10)
    assert len(lost) == 1
    child.close()


def test_a_child_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MANAGER_WRITE_TOKEN", "secret")
    monkeypatch.setenv("API_KEY", "secret")
    child = Child(MODULE, LIMITS)
    inherited = json.loads(child.ask(b"environment", b"", 20)[0])
    child.close()
    assert set(inherited) - {"LC_CTYPE"} == {
        *("PATH", "HOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    assert "secret" not in inherited.values()


def test_a_child_is_confined(child: Child) -> None:
    limits = json.loads(child.ask(b"limits", b"", 20)[0])
    assert (limits["RLIMIT_AS"], limits["RLIMIT_CORE"], limits["RLIMIT_FSIZE"]) == (1 << 30, 0, 0)
    assert limits["nice"] == psutil.Process().nice() + 7
    assert "" not in limits["path"]


@pytest.mark.parametrize("module", ["tests.no_such_module", "tests.waiting"])
def test_a_child_that_does_not_greet_is_lost(module: str) -> None:
    with pytest.raises(ChildLost, match="ended"):
        Child(module, LIMITS)
    assert psutil.Process().children(recursive=True) == []


def test_a_child_that_cannot_be_started_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ChildLost, match="cannot be started"):
        Child(MODULE, LIMITS)


def test_a_killed_parent_leaves_no_child_even_in_the_middle_of_work() -> None:
    program = (
        "import threading; from mm_core.child_processes import Child, ChildLimits; "
        f"child = Child('{MODULE}', ChildLimits(1 << 30)); print(child.pid, flush=True); child.ask(b'sleep', b'', 60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.3)
    assert child.is_running()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
