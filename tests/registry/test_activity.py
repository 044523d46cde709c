"""What happened since a moment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mm_core.errors import InvalidRoot
from mm_core.registry import Registry

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def _what(registry: Registry, since: datetime) -> list[tuple[str | None, str]]:
    return [(event.symbol, event.what) for event in registry.events_since(since)]


def test_a_registration_a_scan_and_a_saved_config_are_events_the_newest_first(
    registry: Registry, write_group: Callable[..., Path]
) -> None:
    root = write_group("SOLUSDT_mid_chg_1m")
    registry.registrations.register("m", str(root))
    write_group("BTCUSDT_mid_chg_1m")
    write_group("SOLUSDT_mid_chg_1m", ic_csv=b"symbol,factor_name,return_name,Kendall_tau\n")
    registry.registrations.refresh("m")
    registry.registrations.refresh("m")  # found the same: no event
    document = {"SOLUSDT": {"mean_values": [1, 2, 0.2], "variance_values": [1, 1, 1]}}
    registry.configs.save("m", "SOLUSDT", document, by="dashboard", note="night shift")
    assert _what(registry, LONG_AGO) == [
        ("SOLUSDT", "Factor config revision 2 by dashboard (edit: 2 factors, “night shift”)."),
        (None, "Groups: 1 new (BTCUSDT_mid_chg_1m); 1 changed (SOLUSDT_mid_chg_1m)."),
        (None, f"Registered from {root}."),
    ]
    assert _what(registry, datetime.now(UTC) + timedelta(seconds=1)) == []


def test_versions_that_come_go_and_become_the_latest_are_events(registry: Registry, tmp_path: Path) -> None:
    root = tmp_path / "models"
    old, new, newest = (root / f"2025072{day}_150837" for day in (4, 5, 6))
    for run in (old, new):
        run.mkdir(parents=True)
        (run / "training_metadata.json").write_text("{}")
    (root / "latest").symlink_to(old.name)
    registry.registrations.register("m", str(root))
    shutil.rmtree(old)
    newest.mkdir()
    (newest / "training_metadata.json").write_text("{}")
    (new / "training_metadata.json").write_text('{"trained_models": []}')
    (root / "latest").unlink()
    (root / "latest").symlink_to(newest.name)
    registry.registrations.refresh("m")
    (newest / "training.log").write_text("files that nobody reads are no news")
    registry.registrations.refresh("m")
    assert [what for _, what in _what(registry, LONG_AGO)][:-1] == [
        f"Versions: 1 new ({newest.name}); 1 changed ({new.name}); 1 gone ({old.name}). Latest: {newest.name}."
    ]


def test_factors_that_a_scan_brought_are_said(registry: Registry, write_group: Callable[..., Path]) -> None:
    root = write_group("SOLUSDT_mid_chg_1m")
    registry.registrations.register("m", str(root))
    write_group("SOLUSDT_mid_chg_1m", factors_txt=b"momentum_5\nvolatility_20\nskew_9\n")
    registry.registrations.refresh("m")
    assert ("SOLUSDT", "Factor config revision 2 by scan (carry: 1 new, 1 gone).") in _what(registry, LONG_AGO)


def test_a_refresh_that_failed_is_an_event(registry: Registry, write_group: Callable[..., Path]) -> None:
    root = write_group("SOLUSDT_mid_chg_1m")
    registry.registrations.register("m", str(root))
    before = datetime.now(UTC)
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(InvalidRoot):
        registry.registrations.refresh("m")
    (event,) = registry.events_since(before)
    assert event.what.startswith("Serves an older scan. Root")


def test_a_model_that_was_deleted_is_an_event_even_when_its_name_is_in_use_again(
    registry: Registry, write_group: Callable[..., Path]
) -> None:
    root = write_group("SOLUSDT_mid_chg_1m")
    registry.registrations.register("m", str(root))
    registry.registrations.delete("m")
    assert _what(registry, LONG_AGO) == [(None, "Deleted.")]
    registry.registrations.register("m", str(root))
    assert _what(registry, LONG_AGO) == [(None, f"Registered from {root}."), (None, "Deleted.")]
    assert _what(registry, datetime.now(UTC) + timedelta(seconds=1)) == []


def test_model_json_is_what_bots_get(registry: Registry, write_group: Callable[..., Path], booster_json: bytes) -> None:
    registry.registrations.register("m", str(write_group("SOLUSDT_mid_chg_1m")))
    assert registry.payloads.model_json("m", registry.group("m", "SOLUSDT")[2]) == booster_json
