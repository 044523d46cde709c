"""What ended its reader: bots are given what they were given before, and it is read again, but not all the time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from mm_core.artifacts import reading_defects
from mm_core.artifacts.limits import ReadingLimits
from mm_core.registry import Registry, lost_readers
from mm_core.registry.registration import Registrations
from mm_core.registry.watching import Watcher
from mm_core.settings import Settings
from mm_core.store import BlobDirectory
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version
from tests.conftest import save_config
from tests.waiting import wait_until

__all__ = ["lightgbm_booster", "write_version"]

KEY = "SOLUSDT_mid_chg_1m"
VERSION = "sentiment-fusion/v1.1.0"
Write = Callable[..., Path]


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Readers:
    """Readers of this process: what they read, and whether those of ``KEY`` and ``VERSION`` die."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.die = False
        self.began = 0
        for name in ("read_group", "read_version"):
            monkeypatch.setattr(reading_defects, name, self._counted(getattr(reading_defects, name)))

    def _counted(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def counted(root: Path, files: Any, *arguments: Any) -> Any:
            if files.key in (KEY, f"{VERSION}/"):
                self.began += 1
                if self.die:
                    raise MemoryError
            return read(root, files, *arguments)

        return counted


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Readers:
    """The readers of this process."""
    return Readers(monkeypatch)


@pytest.fixture
def clock() -> Clock:
    """The clock of `registrations`."""
    return Clock()


@pytest.fixture
def registrations(registry: Registry, settings: Settings, clock: Clock) -> Registrations:
    """Registrations of the registry's store, as another process has them."""
    blobs = BlobDirectory(settings.data_dir / "blobs" / "models")
    return Registrations(registry.store, blobs, ReadingLimits(), None, clock)


def _change(root: Path) -> None:
    (root / f"{KEY}_factors.txt").write_text("x\ny\nz\n")


def test_bots_are_given_the_same_payload_and_config_when_the_reader_of_newer_files_dies(
    registry: Registry, write_group: Write, readers: Readers
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    save_config(registry, 0.25)
    before = registry.payload("m", "SOLUSDT")
    config = registry.group("m", "SOLUSDT")[2]
    readers.die = True
    _change(root)
    registry.registrations.refresh("m")
    registry.registrations.refresh("m")
    assert registry.payload("m", "SOLUSDT").key == before.key
    assert registry.group("m", "SOLUSDT")[2].factors == config.factors
    readers.die = False
    registry.registrations.refresh("m")
    assert registry.payload("m", "SOLUSDT").key != before.key
    assert registry.group("m", "SOLUSDT")[2].factors.names == ("x", "y", "z")


def test_files_that_rest_are_read_again_by_themselves_once_a_reader_lives(
    registry: Registry, write_group: Write, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_readers, "FIRST_PAUSE_SECONDS", 0.2)
    root = write_group()
    registry.registrations.register("m", str(root))
    readers.die = True
    _change(root)
    registry.registrations.refresh("m")
    watcher = Watcher(registry.store, registry.registrations, interval=0.02, debounce=0.1)
    watcher.start()
    try:
        wait_until(lambda: readers.began >= 4)
        assert registry.group("m", "SOLUSDT")[2].payload_ready
        readers.die = False
        wait_until(lambda: registry.group("m", "SOLUSDT")[2].factors.names == ("x", "y", "z"))
        assert registry.group("m", "SOLUSDT")[2].findings == ()
    finally:
        watcher.stop()


@pytest.mark.parametrize("was_served", [True, False])
def test_a_file_that_ends_every_reader_costs_one_a_minute_then_one_an_hour(
    registry: Registry,
    registrations: Registrations,
    clock: Clock,
    write_group: Write,
    readers: Readers,
    was_served: bool,
) -> None:
    root = write_group("OTHER_r")
    readers.die = not was_served
    write_group()
    registry.registrations.register("m", str(root))
    _change(root)
    readers.die = True
    readers.began = 0

    def looked_at_for(seconds: int) -> int:
        """Return how many readers it costs when another group changes all the time."""
        began = readers.began
        for _ in range(10):
            os.utime(root / "OTHER_r_factors.txt")
            registrations.refresh_changed("m")
            clock.now += seconds / 10
        return readers.began - began

    with structlog.testing.capture_logs() as lines:
        assert looked_at_for(50) == 1
        assert looked_at_for(50) == 1, "a minute after the first time"
        assert looked_at_for(75) == 0
        assert looked_at_for(50) == 1, "two minutes after the second time"
        assert looked_at_for(10 * 60) <= 2
        looked_at_for(10 * 3600)
        assert sum(looked_at_for(600) for _ in range(18)) <= 3, "one an hour"
    assert len([line for line in lines if line["event"] == "reader_ended"]) == readers.began, "each is told once"
    assert registry.group("m", "SOLUSDT")[2].payload_ready is was_served


def test_what_rests_is_read_at_once_when_it_changes_when_somebody_asks_and_after_a_start(
    registry: Registry, registrations: Registrations, clock: Clock, write_group: Write, readers: Readers
) -> None:
    root = write_group()
    registrations.register("m", str(root))
    readers.die = True
    _change(root)
    registrations.refresh_changed("m")
    began, revision = readers.began, registry.view().revision
    assert not registrations.has_changed("m")
    registrations.refresh_changed("m")
    assert (readers.began, registry.view().revision) == (began, revision), "it costs and stores nothing"
    os.utime(root / f"{KEY}_ic.csv")
    assert registrations.has_changed("m")
    registrations.refresh_changed("m")
    registrations.refresh_changed("m")
    assert readers.began == began + 1, "what changed is read once, then it rests too"
    registrations.refresh("m")
    assert readers.began == began + 2
    assert registry.registrations.has_changed("m"), "another process knows of no rest"
    registry.registrations.refresh_changed("m")
    assert readers.began == began + 3
    assert not registry.registrations.has_changed("m")
    readers.die = False
    clock.now += 121
    assert registrations.has_changed("m")
    registrations.refresh_changed("m")
    assert registry.group("m", "SOLUSDT")[2].factors.names == ("x", "y", "z")
    assert not registrations.has_changed("m")


@pytest.mark.parametrize("deleted_by", ["this process", "another process"])
def test_how_long_the_files_of_a_deleted_model_rested_is_forgotten(
    registry: Registry,
    registrations: Registrations,
    clock: Clock,
    write_group: Write,
    tmp_path: Path,
    readers: Readers,
    deleted_by: str,
) -> None:
    root, other = write_group(), tmp_path / "other"
    other.mkdir()
    registrations.register("m", str(root))
    registrations.register("other", str(other))
    readers.die = True
    _change(root)
    for _ in range(3):
        registrations.refresh("m")
    clock.now += 200
    assert not registrations.has_changed("m"), "the third time, it rests for four minutes"
    (registrations if deleted_by == "this process" else registry.registrations).delete("m")
    registrations.refresh("other")
    registrations.register("m", str(root))
    assert not registrations.has_changed("m")
    clock.now += 61
    assert registrations.has_changed("m"), "the first time, it rests for a minute"


def test_a_version_rests_though_a_log_beside_its_files_grows(
    registry: Registry, registrations: Registrations, clock: Clock, write_version: WriteVersion, readers: Readers
) -> None:
    root = write_version()
    registrations.register("m", str(root))
    readers.die = True
    os.utime(root / VERSION / "normalizer.json")
    registrations.refresh_changed("m")
    began = readers.began
    for number in range(4):
        (root / VERSION / "training.log").write_text("epoch\n" * (number + 1))
        clock.now += 25
        registrations.refresh_changed("m")
    version = registry.model("m")[1].versions[VERSION]
    assert readers.began == began + 1, "after a minute"
    assert version.can_predict
    assert [finding.code for finding in version.findings] == ["reader-ended"]
    assert "training.log" in {file.path.rpartition("/")[2] for file in version.files}
