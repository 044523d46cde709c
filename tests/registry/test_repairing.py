"""A repair restores what can be restored, model by model, and says what could not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_core.registry import Registry
from mm_core.registry.housekeeping import NO_COPIES, Repaired
from mm_core.settings import Settings
from mm_core.wiring import open_registry

Write = Callable[..., Path]


@pytest.fixture
def two(settings: Settings, write_group: Write, tmp_path: Path) -> Path:
    """Two models, ``a`` and ``b``, whose parsed groups are damaged; the data directory."""
    registry = open_registry(settings)  # the one that repairs has nothing of them in memory
    for name in ("a", "b"):
        write_group().rename(tmp_path / name)
        registry.registrations.register(name, str(tmp_path / name))
    for path in (tmp_path / "data" / "scans").rglob("shard-*"):
        path.write_bytes(b"{")
    return tmp_path / "data"


def test_a_repair_says_which_model_could_not_be_restored_and_why(registry: Registry, two: Path, tmp_path: Path) -> None:
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    repaired = registry.housekeeping.repair(registry.housekeeping.plan_repairs())
    assert {repair.path.name.partition("-")[0] for repair in repaired.done} == {"shard"}
    assert len(repaired.failures) == 1
    assert repaired.failures[0].startswith("Model 'a' is out of service: ")
    assert "does not exist" in repaired.failures[0]
    assert registry.model("b")[1].symbols() == ("SOLUSDT",)


def test_a_file_that_has_no_remedy_keeps_no_other_model_from_being_restored(registry: Registry, two: Path) -> None:
    for path in two.rglob("configs/a*/shards/*"):
        path.write_bytes(b"{")
    plan = registry.housekeeping.plan_repairs()
    assert {repair.can_be_made for repair in plan} == {True, False}
    repaired = registry.housekeeping.repair(plan)
    assert registry.model("b")[1].symbols() == ("SOLUSDT",)
    assert len(repaired.failures) == 1
    assert repaired.failures[0].startswith("Model 'a' is out of service: ")
    assert "is damaged" in repaired.failures[0]


def test_a_repair_leaves_nothing_to_say_where_all_could_be_restored(registry: Registry, two: Path) -> None:
    assert registry.housekeeping.repair(registry.housekeeping.plan_repairs()).failures == ()
    assert [registry.model(name)[1].symbols() for name in ("a", "b")] == [("SOLUSDT",), ("SOLUSDT",)]
    assert registry.housekeeping.diagnose().healthy


def test_a_repair_makes_copies_again_that_were_lost_all_together(registered: Registry, settings: Settings) -> None:
    copies = settings.data_dir / "copies"
    wanted = {path: path.read_bytes() for path in copies.rglob("*.json")}
    assert registered.housekeeping.diagnose().notes == (), "each was written with its original"
    shutil.rmtree(copies)
    found = registered.housekeeping.diagnose()
    assert (found.healthy, found.notes) == (True, (NO_COPIES,))
    assert registered.housekeeping.plan_repairs() == ()
    assert registered.housekeeping.repair(()).copies_made == len(wanted) > 1
    assert {path: path.read_bytes() for path in copies.rglob("*.json")} == wanted
    assert registered.housekeeping.diagnose().notes == ()


def test_a_repair_of_no_state_makes_none(registry: Registry, settings: Settings) -> None:
    assert registry.housekeeping.repair(()) == Repaired((), ())
    assert not settings.data_dir.exists()
    assert registry.housekeeping.diagnose().notes == ()
