"""Changes that are refused again and again, as by the watcher, leave the disk as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_core.errors import StoreCorrupt, StoreFull
from mm_core.registry import Registry
from mm_core.registry.housekeeping import Cleaner
from mm_core.settings import Settings
from mm_core.store import durable, pending_files, tinydb_store, unfinished
from mm_core.wiring import open_registry
from tests.waiting import wait_until


def _files(settings: Settings, *places: str) -> set[Path]:
    return {path for place in places for path in (settings.data_dir / place).rglob("*.json")}


def _full(*_: object, **__: object) -> None:
    raise StoreFull("The disk is full.")


def test_a_group_that_changes_beside_a_damaged_config_leaves_no_scan_with_each_try(
    registered: Registry, settings: Settings, model_root: Path
) -> None:
    before, scan = _files(settings, "scans/m"), registered.view().scan("m")
    (shard,) = (settings.data_dir / "configs" / "m" / "shards").iterdir()
    whole = shard.read_bytes()
    shard.write_bytes(b"{")
    registry = open_registry(settings)
    (model_root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("x\ny\nz\n")
    for _ in range(3):
        with pytest.raises(StoreCorrupt, match=r"is damaged .*doctor --repair"):
            registry.registrations.refresh_changed("m")
        assert _files(settings, "scans/m") == before
        assert registry.view().scan("m") == scan
    shard.write_bytes(whole)
    assert registry.registrations.refresh_changed("m").registered is not None
    assert registry.group("m", "SOLUSDT")[2].factors.names == ("x", "y", "z")


def test_a_first_registration_without_space_for_configs_leaves_nothing_with_each_try(
    registered: Registry, settings: Settings, model_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, write = _files(settings, "scans", "configs", "copies"), durable.write_durably

    def write_scans_alone(path: Path, data: bytes) -> None:
        if "scans" not in path.parts:
            _full()
        write(path, data)

    with monkeypatch.context() as nearly_full:
        nearly_full.setattr(pending_files, "write_durably", write_scans_alone)
        for _ in range(3):
            with pytest.raises(StoreFull):
                registered.registrations.register("n", str(model_root))
            assert _files(settings, "scans", "configs", "copies") == before
    registered.registrations.register("n", str(model_root))
    assert registered.store.problems() == ()


def test_a_server_deletes_what_a_refused_registration_left(
    registered: Registry, settings: Settings, model_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as refusing:
        refusing.setattr(tinydb_store, "write_durably", _full)
        with pytest.raises(StoreFull):
            registered.registrations.register("n", str(model_root))
    left = [settings.data_dir / place / "n" for place in ("scans", "configs", "copies/configs")]
    assert all(directory.is_dir() for directory in left)
    monkeypatch.setattr(unfinished, "KEPT_SECONDS", 0.0)
    cleaner = Cleaner(registered.housekeeping, every_seconds=0.02)
    cleaner.start()
    wait_until(lambda: not any(directory.exists() for directory in left))
    cleaner.stop()
    assert cleaner.thread_state().problem is None
    assert registered.store.problems() == ()
