"""A root in which nothing is left: what was read stays in service until somebody says that it is meant so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_core.errors import InvalidRoot, ScanMissing
from mm_core.registry import Registry
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version

__all__ = ["lightgbm_booster", "write_version"]

Write = Callable[..., Path]


def _unmounted(root: Path) -> Path:
    """Leave an empty directory where a root was; return where its files are."""
    away = root.rename(root.with_name("away"))
    root.mkdir()
    return away


def _removed(root: Path) -> Path:
    """Remove each file of a root; return where copies of them are."""
    shutil.copytree(root, root.with_name("away"))
    for path in root.iterdir():
        path.unlink()
    (root / "README.txt").write_text("No file of a known kind.")
    return root.with_name("away")


@pytest.mark.parametrize("emptied", [_unmounted, _removed])
def test_what_was_read_stays_in_service_with_the_reason_until_it_is_there_again(
    registered: Registry, model_root: Path, settings: Settings, emptied: Callable[[Path], Path]
) -> None:
    before = registered.payload("m", "SOLUSDT").digest
    away = emptied(model_root)
    for registry in (registered, open_registry(settings)):  # the second one starts where nothing is mounted yet
        assert registry.registrations.has_changed("m")
        with pytest.raises(InvalidRoot, match=rf"Root '{model_root}' has nothing of what model 'm' was read from"):
            registry.registrations.refresh_changed("m")
        model, scan = registry.model("m")
        assert scan.symbols() == ("BTCUSDT", "SOLUSDT")
        assert "if it is meant to be empty, refresh the model" in str(model.refresh_error)
        assert registry.payload("m", "SOLUSDT").digest == before
    revision = registered.view().revision
    with pytest.raises(InvalidRoot):
        registered.registrations.refresh_changed("m")
    assert registered.view().revision == revision, "nothing is stored again and again"
    shutil.rmtree(model_root)
    away.rename(model_root)
    registered.registrations.refresh_changed("m")
    assert registered.model("m")[0].refresh_error is None
    assert registered.model("m")[1].symbols() == ("BTCUSDT", "SOLUSDT")


def test_somebody_who_asks_for_a_refresh_means_the_emptiness(registered: Registry, model_root: Path) -> None:
    _unmounted(model_root)
    with pytest.raises(InvalidRoot):
        registered.registrations.refresh_changed("m")
    done = registered.registrations.refresh("m")
    assert (done.model.refresh_error, done.scan.symbols()) == (None, ())
    assert [finding.code for finding in done.scan.findings] == ["no-groups"]
    assert registered.registrations.refresh_changed("m").registered is None


def test_a_group_that_goes_while_others_stay_is_gone(registered: Registry, model_root: Path) -> None:
    for path in model_root.glob("SOLUSDT*"):
        path.unlink()
    registered.registrations.refresh_changed("m")
    assert registered.model("m")[1].symbols() == ("BTCUSDT",)


def test_versions_stay_as_groups_do(registry: Registry, write_version: WriteVersion) -> None:
    root = write_version("v1.0.0")
    registry.registrations.register("m", str(root))
    versions = registry.model("m")[1].versions
    _unmounted(root)
    with pytest.raises(InvalidRoot, match="has nothing of what"):
        registry.registrations.refresh_changed("m")
    assert registry.model("m")[1].versions == versions


def test_a_root_that_was_empty_when_it_was_registered_waits_for_its_first_files(
    registry: Registry, tmp_path: Path, write_group: Write
) -> None:
    (tmp_path / "root").mkdir()
    registry.registrations.register("m", str(tmp_path / "root"))
    assert registry.registrations.refresh_changed("m").registered is None
    write_group()
    registry.registrations.refresh_changed("m")
    assert registry.model("m")[1].symbols() == ("SOLUSDT",)


def test_bots_are_asked_to_come_back_where_the_scan_is_lost_too(
    registered: Registry, model_root: Path, settings: Settings
) -> None:
    _unmounted(model_root)
    shutil.rmtree(settings.data_dir / "scans")
    again = open_registry(settings)
    (sentence,) = again.registrations.restore_missing_scans()
    assert "has nothing of what model 'm' was read from" in sentence
    with pytest.raises(ScanMissing):
        again.payload("m", "SOLUSDT")
    assert again.registrations.refresh("m").scan.symbols() == ()
