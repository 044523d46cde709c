"""What changed since a revision: the memory itself, and what the publisher notes in it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from mm_core.registry import Registry
from mm_core.registry.changes import ChangeLog, Changes


def _log() -> ChangeLog:
    log = ChangeLog()
    log.note(5, "m", {})
    log.note(6, "m", {"m": {"A", "B"}})
    log.note(8, "mn", {"m": {"A"}, "n": {"Z"}})
    return log


def _waiting(log: ChangeLog, model_name: str, since: int) -> tuple[threading.Thread, list[Changes]]:
    """Return a thread that waits for a change, and where it puts what it is told."""
    waits, found = threading.Event(), list[Changes]()

    def look() -> bool:
        waits.set()
        return False

    waiter = threading.Thread(target=lambda: found.append(log.since(model_name, since, 20, look)))
    waiter.start()
    assert waits.wait(20)
    return waiter, found


def test_symbols_are_told_when_they_changed_after_the_revision() -> None:
    log = _log()
    assert log.since("m", 5) == Changes(8, ("A", "B"))
    assert log.since("m", 6) == Changes(8, ("A",))
    assert log.since("m", 8) == Changes(8, ())
    assert log.since("n", 7) == Changes(8, ("Z",))
    assert log.since("unknown", 5) == Changes(8, ())


def test_what_lies_before_the_memory_or_ahead_of_it_may_be_everything() -> None:
    assert _log().since("m", 4) == Changes(8, None)
    assert _log().since("m", 9) == Changes(8, None), "a store that was put back"
    assert ChangeLog().since("m", 0) == Changes(0, None)


def test_a_waiter_is_answered_as_soon_as_its_model_changes() -> None:
    log = _log()
    waiter, found = _waiting(log, "m", 8)
    log.note(9, "mn", {"n": {"Z"}})
    time.sleep(0.05)
    assert found == []
    log.note(10, "mn", {"m": {"C"}})
    waiter.join(2)
    assert found == [Changes(10, ("C",))]


def test_a_waiter_gives_up_after_its_time_and_when_it_is_told_to() -> None:
    log, started = _log(), time.monotonic()
    assert log.since("m", 8, 0.1) == Changes(8, ())
    assert 0.1 <= time.monotonic() - started < 1
    assert log.since("m", 8, 20, lambda: True) == Changes(8, ())
    assert time.monotonic() - started < 2


def test_whoever_waits_when_a_model_is_deleted_is_told_at_once_what_went_with_it() -> None:
    log = _log()
    waiter, found = _waiting(log, "m", 8)
    log.note(9, "n", {"m": {"A", "B"}})
    waiter.join(2)
    assert found == [Changes(9, ("A", "B"))]


def test_of_a_model_that_is_registered_again_everything_may_have_changed_since_it_was_deleted() -> None:
    log = _log()
    log.note(9, "n", {"m": {"A", "B"}})
    log.note(10, "mn", {"m": {"C"}})
    assert log.since("m", 8) == Changes(10, None), "A and B are forgotten with the model that had them"
    assert log.since("m", 9) == Changes(10, ("C",))
    assert log.since("n", 5) == Changes(10, ("Z",)), "models that stay are remembered"
    assert log.since("n", 8) == Changes(10, ())


def test_whoever_waits_while_a_model_is_deleted_and_registered_again_is_told_at_once() -> None:
    log = _log()
    waiter, found = _waiting(log, "m", 8)
    log.note(9, "n", {"m": set()})
    log.note(10, "mn", {"m": {"C"}})
    waiter.join(2)
    assert found == [Changes(10, None)]


def test_whoever_waits_for_a_model_that_was_not_noted_yet_is_told_of_its_first_symbols() -> None:
    log = _log()
    waiter, found = _waiting(log, "new", 8)
    log.note(9, ["m", "n", "new"], {"new": {"A"}})
    waiter.join(2)
    assert found == [Changes(9, ("A",))]


def test_the_publisher_notes_configs_scans_and_symbols_that_went(registry: Registry, model_root: Path) -> None:
    registry.publisher.publish_all()
    registry.registrations.register("m", str(model_root))
    registry.publisher.publish_all()
    assert registry.changes.since("m", 0) == Changes(1, ("BTCUSDT", "SOLUSDT"))
    config = {"SOLUSDT": {"mean_values": [1, 2, 3], "variance_values": [1, 1, 1]}}
    registry.configs.save("m", "SOLUSDT", config, by="api")
    registry.publisher.publish_all()
    assert registry.changes.since("m", 1) == Changes(2, ("SOLUSDT",))
    for path in model_root.glob("BTCUSDT*"):
        path.unlink()
    registry.registrations.refresh("m")
    registry.publisher.publish_all()
    assert registry.changes.since("m", 2) == Changes(3, ("BTCUSDT",))
    waiter, found = _waiting(registry.changes, "m", 3)
    registry.registrations.delete("m")
    registry.publisher.publish_all()
    waiter.join(20)
    assert found == [Changes(4, ("SOLUSDT",))]
