"""What changed since a revision: the memory itself, and what the publisher notes in it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from mm_core.registry import Registry
from mm_core.registry.changes import ChangeLog, Changes


def _log() -> ChangeLog:
    log = ChangeLog()
    log.note(5, {})
    log.note(6, {"m": {"A", "B"}})
    log.note(8, {"m": {"A"}, "n": {"Z"}})
    return log


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
    log, found = _log(), []
    waiter = threading.Thread(target=lambda: found.append(log.since("m", 8, 20)))
    waiter.start()
    log.note(9, {"n": {"Z"}})
    time.sleep(0.05)
    assert found == []
    log.note(10, {"m": {"C"}})
    waiter.join(2)
    assert found == [Changes(10, ("C",))]


def test_a_waiter_gives_up_after_its_time_and_when_it_is_told_to() -> None:
    log, started = _log(), time.monotonic()
    assert log.since("m", 8, 0.1) == Changes(8, ())
    assert 0.1 <= time.monotonic() - started < 1
    assert log.since("m", 8, 20, lambda: True) == Changes(8, ())
    assert time.monotonic() - started < 2


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
    registry.registrations.delete("m")
    registry.publisher.publish_all()
    assert registry.changes.since("m", 3) == Changes(4, ("SOLUSDT",))
