"""What happened since a moment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mm_core.errors import InvalidRoot
from mm_core.registry import Registry, lifecycle_changes
from mm_core.registry.lifecycle_changes import Author
from mm_core.settings import Settings
from mm_core.store.family_files import FamilyFiles
from mm_core.wiring import open_registry
from tests.registry.test_lifecycle import FIELDS

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


def test_events_of_versions_are_read_of_families_alone_to_which_something_happened(
    registry: Registry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Author("ann", "because")
    for number in range(20):
        registry.lifecycle.register({**FIELDS, "model_name": f"model-{number}"}, ann)
    moment = datetime.now(UTC) + timedelta(milliseconds=2)
    while datetime.now(UTC) <= moment:
        pass
    registry.lifecycle.set_alias("model-7", "seven", ann)
    read: list[str] = []
    reading = FamilyFiles._read_events

    def noted(self: FamilyFiles, name: str, place: str, file: str) -> object:
        read.append(name)
        return reading(self, name, place, file)

    monkeypatch.setattr(FamilyFiles, "_read_events", noted)
    again = open_registry(settings)
    assert _what(again, moment) == [(None, "Other names: seven by ann (“because”).")]
    assert read == ["model-7"]
    assert _what(again, datetime.now(UTC) + timedelta(seconds=1)) == []
    assert read == ["model-7"]
    assert len(_what(again, LONG_AGO)) == 21
    assert len(read) == 20


def test_an_event_by_a_clock_that_was_set_back_is_no_news_and_hides_none(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.lifecycle.register(FIELDS, Author("ann"))
    moment = datetime.now(UTC) - timedelta(seconds=1)
    monkeypatch.setattr(lifecycle_changes, "_now", lambda: LONG_AGO)
    registry.lifecycle.register({**FIELDS, "model_version": "v2.0.0"}, Author("bob"))
    assert _what(registry, moment) == [(None, "v1.0.0 registered as training by ann.")]


def test_families_of_an_earlier_version_are_read_until_something_happens_to_them(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(FamilyFiles, "_latest", lambda *_: None)
        registry.lifecycle.register(FIELDS, Author("ann"))
    name = FIELDS["model_name"]
    assert registry.view().lifecycle.changed_at(name) is None
    assert _what(registry, LONG_AGO) == [(None, "v1.0.0 registered as training by ann.")]
    before = registry.lifecycle.history(name)[-1].at
    monkeypatch.setattr(lifecycle_changes, "_now", lambda: LONG_AGO)
    registry.lifecycle.set_alias(name, "another", Author("ann"))
    assert registry.view().lifecycle.changed_at(name) == before
