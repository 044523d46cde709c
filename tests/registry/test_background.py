"""No error ends a background thread; each is told until it is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mm_core.errors import DuplicateSymbols, InvalidRoot, ReaderNotStarted, StoreError
from mm_core.registry import Registry, background
from mm_core.registry.background import BackgroundThread, ThreadState, Trouble
from mm_core.registry.housekeeping import Cleaner
from mm_core.registry.watching import Watcher
from tests.waiting import wait_until

EXPECTED = (StoreError("The store is damaged. Repair it."), OSError(28, "No space left on device"))
UNEXPECTED = (KeyError("a"), RecursionError("too deep"), MemoryError(), AssertionError("never"), TypeError("x\x1b[31m"))


class _Turns(BackgroundThread):
    """Raises what it is told to, once each."""

    def __init__(self, raises: list[BaseException]) -> None:
        super().__init__("turns", "turning_waits")
        self.raises = raises
        self.turns = self.ends = 0

    def _turn(self) -> None:
        self.turns += 1
        if self.raises:
            raise self.raises.pop(0)
        self._stop.wait(0.01)

    def _end(self) -> None:
        self.ends += 1


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads try again at once."""
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)


@pytest.fixture
def running() -> Iterator[Callable[[Any], Any]]:
    """Start threads; they are stopped at the end."""
    threads: list[BackgroundThread] = []

    def start(thread: Any) -> Any:
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.stop()


@pytest.mark.parametrize("error", [*EXPECTED, *UNEXPECTED], ids=lambda error: type(error).__name__)
def test_whatever_a_turn_raises_the_thread_takes_the_next(
    running: Callable[[_Turns], _Turns], error: Exception
) -> None:
    thread = running(_Turns([error, error]))
    wait_until(lambda: thread.turns > 3)
    assert thread.thread_state() == ThreadState(True, None)
    thread.stop()
    assert (thread.thread_state().is_running, thread.ends) == (False, 1)


def test_what_is_expected_is_logged_as_a_sentence_and_what_is_not_with_its_traceback_each_once() -> None:
    trouble = Trouble("turning_waits")

    def raise_it(error: Exception) -> None:
        raise error

    with capture_logs() as logs:
        for error in (EXPECTED[0], EXPECTED[0], UNEXPECTED[0], UNEXPECTED[0], UNEXPECTED[4]):
            assert trouble.attempt(lambda error=error: raise_it(error), model="m") is error
    assert [(log["event"], log["log_level"], log["model"], log.get("exc_info")) for log in logs] == [
        ("turning_waits", "warning", "m", None),
        ("turning_waits", "error", "m", UNEXPECTED[0]),
        ("turning_waits", "error", "m", UNEXPECTED[4]),
    ]
    assert logs[0]["reason"] == "The store is damaged. Repair it."
    assert logs[1]["reason"] == "Unexpected KeyError: 'a'. The log has its traceback."
    assert trouble.sentence == "Unexpected TypeError: x\\x1b[31m. The log has its traceback."
    assert trouble.attempt(lambda: None) is None
    assert trouble.sentence is None


def test_what_keeps_a_thread_from_its_work_is_told_until_it_is_over(running: Callable[[_Turns], _Turns]) -> None:
    over = threading.Event()

    class Stuck(_Turns):
        def _turn(self) -> None:
            if not over.is_set():
                raise EXPECTED[0]
            super()._turn()

    thread = running(Stuck([]))
    wait_until(lambda: thread.thread_state().problem == "The store is damaged. Repair it.")
    over.set()
    wait_until(lambda: thread.thread_state() == ThreadState(True, None))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ended_though_nobody_stopped_it_says_so(running: Callable[[_Turns], _Turns]) -> None:
    thread = running(_Turns([SystemExit()]))
    wait_until(lambda: not thread.thread_state().is_running)
    assert thread.thread_state().problem == "The thread 'turns' ended unexpectedly. Restart the server."
    assert thread.ends == 1


def test_the_watcher_lives_through_a_state_that_is_damaged_for_a_moment(
    registry: Registry, running: Callable[[Watcher], Watcher], write_group: Callable[..., Path], tmp_path: Path
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    watcher = running(Watcher(registry.store, registry.registrations, interval=0.2, debounce=0.1))
    wait_until(lambda: watcher.state().mode == "events")
    state = tmp_path / "data" / "registry.json"
    whole = state.read_bytes()
    state.write_bytes(whole[:-9])
    wait_until(lambda: "registry.json" in (watcher.thread_state().problem or ""))
    registry.housekeeping.repair(registry.housekeeping.plan_repairs())
    assert watcher.state().mode in ("starting", "events")
    write_group("BTCUSDT_mid_chg_1m")
    wait_until(lambda: registry.model("m")[1].symbols() == ("BTCUSDT", "SOLUSDT"))
    wait_until(lambda: (watcher.state().mode, watcher.state().last_error) == ("events", None))


@pytest.mark.parametrize("step", ["has_changed", "refresh_changed"])
def test_a_model_that_fails_unexpectedly_keeps_the_watcher_from_no_other_one(
    registry: Registry,
    running: Callable[[Watcher], Watcher],
    write_group: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    step: str,
) -> None:
    (root := write_group()).rename(tmp_path / "first")
    write_group()
    registry.registrations.register("a", str(tmp_path / "first"))
    registry.registrations.register("b", str(root))
    honest = getattr(registry.registrations, step)
    broken = threading.Event()
    broken.set()

    def fail(name: str, *args: Any, **options: Any) -> Any:
        if name == "a" and broken.is_set():
            raise KeyError("a defect")
        return honest(name, *args, **options)

    monkeypatch.setattr(registry.registrations, step, fail)
    watcher = running(Watcher(registry.store, registry.registrations, interval=0.1, debounce=0.1))
    wait_until(lambda: watcher.state().mode == "events")
    for place in (tmp_path / "first", root):
        (place / "SOLUSDT_mid_chg_1m_factors.txt").write_text("x\ny\nz\n")
    wait_until(lambda: registry.group("b", "SOLUSDT")[2].factors.names == ("x", "y", "z"))
    wait_until(lambda: "Unexpected KeyError: 'a defect'" in str(watcher.state().last_error))
    assert watcher.thread_state() == ThreadState(True, None)
    broken.clear()
    wait_until(lambda: registry.group("a", "SOLUSDT")[2].factors.names == ("x", "y", "z"))
    wait_until(lambda: watcher.state().last_error is None)


@pytest.mark.parametrize(
    "error",
    [*EXPECTED, ReaderNotStarted("No process could be started."), UNEXPECTED[0], UNEXPECTED[2]],
    ids=lambda error: type(error).__name__,
)
def test_a_change_that_could_not_be_taken_is_put_into_service_when_it_can(
    registry: Registry,
    running: Callable[[Watcher], Watcher],
    write_group: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    honest, failures = registry.registrations.refresh_changed, [error] * 3

    def fail(*args: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return honest(*args, **options)

    watcher = running(Watcher(registry.store, registry.registrations, interval=60.0, debounce=0.1))
    wait_until(lambda: watcher.state().mode == "events")
    monkeypatch.setattr(registry.registrations, "refresh_changed", fail)
    with capture_logs() as logs:
        (root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("x\ny\nz\n")
        wait_until(lambda: registry.group("m", "SOLUSDT")[2].factors.names == ("x", "y", "z"))
    assert failures == []
    assert [log["event"] for log in logs].count("watch_refresh_failed") == 1
    wait_until(lambda: watcher.state().last_error is None)


def _tries_of_a_change(
    registry: Registry,
    watcher: Watcher,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    lasting: float = 0.0,
) -> list[float]:
    """Change a group that cannot be put into service from now on; return when it was tried, which others follow."""
    tries: list[float] = []

    def fail(*args: Any, **options: Any) -> Any:
        tries.append(time.monotonic())
        time.sleep(lasting)
        raise error

    wait_until(lambda: watcher.state().mode == "events")
    monkeypatch.setattr(registry.registrations, "refresh_changed", fail)
    (root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("x\ny\nz\n")
    wait_until(lambda: tries != [])
    return tries


def test_a_defect_that_lasts_rests_four_times_as_long_as_it_takes(
    registry: Registry,
    running: Callable[[Watcher], Watcher],
    write_group: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.registrations.register("m", str(root := write_group()))
    watcher = running(Watcher(registry.store, registry.registrations, interval=60.0, debounce=0.1))
    with capture_logs():  # a traceback takes a while to print, which counts as well
        tries = _tries_of_a_change(registry, watcher, root, monkeypatch, KeyError("a defect"), lasting=0.2)
        wait_until(lambda: len(tries) >= 4)
    assert tries[3] - tries[2] >= 5 * 0.2


@pytest.mark.parametrize(
    "error",
    [InvalidRoot("It is away."), DuplicateSymbols("m", {"S": ("a", "b")})],
    ids=lambda error: type(error).__name__,
)
def test_what_other_files_alone_can_mend_is_not_tried_again_before_they_change(
    registry: Registry,
    running: Callable[[Watcher], Watcher],
    write_group: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    registry.registrations.register("m", str(root := write_group()))
    watcher = running(Watcher(registry.store, registry.registrations, interval=60.0, debounce=0.1))
    tries = _tries_of_a_change(registry, watcher, root, monkeypatch, error)
    time.sleep(0.5)  # until each event of that change was told
    before = len(tries)
    time.sleep(0.5)
    assert (len(tries), watcher.state().pending) == (before, 0)


def test_publisher_and_cleaner_go_on_after_what_nobody_expected(
    registry: Registry,
    running: Callable[[Any], Any],
    write_group: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.registrations.register("m", str(write_group()))
    failures = {"declare": [TypeError("one"), KeyError("two")], "plan_cleanup": [IndexError("three")]}
    done: list[str] = []

    def first_fail(place: object, name: str) -> None:
        honest = getattr(place, name)

        def call(*args: Any) -> Any:
            if failures[name]:
                raise failures[name].pop()
            done.append(name)
            return honest(*args)

        monkeypatch.setattr(place, name, call)

    first_fail(registry.published, "declare")
    first_fail(registry.housekeeping, "plan_cleanup")
    running(registry.publisher)
    running(Cleaner(registry.housekeeping, every_seconds=0.01))
    wait_until(lambda: registry.published.find("m", "SOLUSDT") is not None)
    wait_until(lambda: "plan_cleanup" in done)
    assert failures == {"declare": [], "plan_cleanup": []}


def test_work_aside_goes_on_after_an_error_and_what_finds_no_room_is_not_done() -> None:
    aside = background.AsideThread("aside", room=2)
    begun, released = threading.Event(), threading.Event()
    done: list[str] = []

    def hold() -> None:
        begun.set()
        released.wait(20)

    assert aside.offer(hold)
    assert begun.wait(20)
    assert aside.offer(lambda: 1 / 0)
    assert aside.offer(lambda: done.append("after an error"))
    assert not aside.offer(lambda: done.append("no room"))
    released.set()
    wait_until(lambda: done == ["after an error"])
    begun.clear()
    released.clear()
    assert aside.offer(hold)
    assert begun.wait(20)
    assert aside.offer(lambda: done.append("waits when it stops"))
    aside.stop()
    assert not aside.offer(lambda: done.append("too late"))
    released.set()
    wait_until(lambda: all(thread.name != "aside" for thread in threading.enumerate()))
    assert done == ["after an error"]
