"""Use cases across rooms: several writers at once, housekeeping, what is restored."""

from __future__ import annotations

import json
import os
import shutil
import threading
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mm_core.api.process import kept_current
from mm_core.conversion import OnnxConverter
from mm_core.domain.groups import Scan
from mm_core.errors import (
    DuplicateSymbols,
    InvalidFactorConfig,
    InvalidRoot,
    ModelNotFound,
    PayloadChanged,
    RevisionConflict,
    RevisionNotFound,
)
from mm_core.payloads import Coding
from mm_core.registry import Registry, configs, registration
from mm_core.registry.housekeeping import Cleaner
from mm_core.settings import Settings
from mm_core.store import BlobDirectory
from mm_core.wiring import open_registry
from tests.waiting import wait_until

Write = Callable[..., Path]


def _document(*means: float) -> dict[str, object]:
    return {"SOLUSDT": {"mean_values": list(means), "variance_values": [1.0] * len(means)}}


def test_dashboard_server_and_command_line_may_write_at_once(settings: Settings, write_group: Write) -> None:
    root = write_group()
    open_registry(settings).registrations.register("m", str(root))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        registry = open_registry(settings)
        try:
            for step in range(10):
                if number == 0:
                    (root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("a\nb\nc\n" if step % 2 else "c\nb\na\n")
                    registry.registrations.refresh("m")
                else:
                    registry.configs.save("m", "SOLUSDT", _document(number, step, 0.5), by="api")
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    registry = open_registry(settings)
    history = registry.configs.history("m", "SOLUSDT")
    assert [revision.number for revision in history] == list(range(1, len(history) + 1))
    payload = json.loads(registry.payloads.body(registry.payloads.handle("m", "SOLUSDT"), Coding.IDENTITY))["payload"]
    names = [row["factor_name"] for row in payload["dim_factors"]]
    assert payload["factor_config"]["SOLUSDT"]["factor_names"] == names == ["a", "b", "c"]


def test_two_refreshes_at_once_both_succeed(settings: Settings, write_group: Write) -> None:
    root = write_group()
    open_registry(settings).registrations.register("m", str(root))
    threads = [threading.Thread(target=lambda: open_registry(settings).registrations.refresh("m")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert open_registry(settings).view().revision == 5


def _while_scanning(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once, when the next scan has read its files and before it comes into service."""
    scan, waiting = registration.scan_root, [happens]

    def scanned(*args: Any, **options: Any) -> Scan:
        found = scan(*args, **options)
        if waiting:
            waiting.pop()()
        return found

    monkeypatch.setattr(registration, "scan_root", scanned)


def test_a_registration_that_is_slower_than_a_refresh_does_not_put_its_older_scan_over_it(
    registry: Registry, write_group: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    factors = root / "SOLUSDT_mid_chg_1m_factors.txt"
    factors.write_text("old\nolder\noldest\n")

    def refresh() -> None:
        factors.write_text("new\nnewer\nnewest\n")
        registry.registrations.refresh("m")

    _while_scanning(monkeypatch, refresh)
    done = registry.registrations.register("m", str(root))
    names = ("new", "newer", "newest")
    assert registry.group("m", "SOLUSDT")[2].factors.names == names
    assert done.scan.groups["SOLUSDT_mid_chg_1m"].factors.names == names
    config = registry.configs.history("m", "SOLUSDT")
    assert [one.added for one in config] == [(), names], "what was read first was never in service"


@pytest.mark.parametrize("other", ["same root", "other root", "deleted"])
def test_a_registration_that_is_slower_than_others_of_its_name_looks_again(
    registry: Registry, write_group: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, other: str
) -> None:
    root = write_group()
    elsewhere = shutil.copytree(root, tmp_path / "elsewhere")
    if other == "deleted":
        registry.registrations.register("m", str(root))

    def meanwhile() -> None:
        (root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("x\ny\nz\n")
        if other == "deleted":
            registry.registrations.delete("m")
        else:
            registry.registrations.register("m", str(root if other == "same root" else elsewhere))

    _while_scanning(monkeypatch, meanwhile)
    done = registry.registrations.register("m", str(root))
    model, scan = registry.model("m")
    assert (model.root_path, scan.scanned_at) == (str(root), done.scan.scanned_at)
    assert registry.group("m", "SOLUSDT")[2].factors.names == ("x", "y", "z")


def test_why_a_slower_refresh_failed_is_not_said_of_the_scan_that_a_faster_one_put_into_service(
    registry: Registry, write_group: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    write_group("SOLUSDT_mid_chg_5m")

    def mend_and_refresh() -> None:
        for path in root.glob("SOLUSDT_mid_chg_5m*"):
            path.unlink()
        registry.registrations.refresh("m")

    _while_scanning(monkeypatch, mend_and_refresh)
    with pytest.raises(DuplicateSymbols):
        registry.registrations.refresh("m")
    assert registry.model("m")[0].refresh_error is None


def test_an_edit_on_an_older_revision_is_a_conflict_and_stores_nothing(registry: Registry, write_group: Write) -> None:
    registry.registrations.register("m", str(write_group()))
    registry.configs.save("m", "SOLUSDT", _document(1, 2, 3), by="api", expected_revision=1)
    with pytest.raises(RevisionConflict, match="revision 2"):
        registry.configs.save("m", "SOLUSDT", _document(4, 5, 6), by="dashboard", expected_revision=1)
    assert registry.configs.get("m", "solusdt").config.mean_values == (1.0, 2.0, 3.0)


def _while_first_parsed(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen, in another thread, while a config is parsed for the first time."""
    parse = configs.parse_factor_config
    todo = [happens]

    def parse_slowly(*arguments: Any) -> Any:
        if todo:
            thread = threading.Thread(target=todo.pop())
            thread.start()
            thread.join()
        return parse(*arguments)

    monkeypatch.setattr(configs, "parse_factor_config", parse_slowly)


def test_what_is_wrong_with_a_config_is_found_before_it_keeps_other_writers_out(
    registry: Registry, write_group: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_group("BTCUSDT_mid_chg_1m")
    registry.registrations.register("m", str(write_group()))
    btc = {"BTCUSDT": _document(1, 2, 3)["SOLUSDT"]}
    saved = []
    _while_first_parsed(monkeypatch, lambda: saved.append(registry.configs.save("m", "BTCUSDT", btc, by="api")))
    with pytest.raises(InvalidFactorConfig):
        registry.configs.save("m", "SOLUSDT", _document(1, 2), by="api")
    assert [one.record.revision for one in saved] == [2]


def test_a_config_fits_the_factors_that_the_model_has_when_it_is_stored(
    registry: Registry, write_group: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))

    def train_again() -> None:
        (root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("momentum_5\nspread_3\nnew\nfourth\n")
        registry.registrations.refresh("m")

    _while_first_parsed(monkeypatch, train_again)
    with pytest.raises(InvalidFactorConfig, match="mean_values has 3 entries, the model has 4 factors"):
        registry.configs.save("m", "SOLUSDT", _document(1, 2, 3), by="api")
    assert registry.configs.save("m", "SOLUSDT", _document(1, 2, 3, 4), by="api").record.revision == 3


def test_somebody_elses_edit_is_told_before_what_is_wrong_with_ones_own(registry: Registry, write_group: Write) -> None:
    registry.registrations.register("m", str(write_group()))
    registry.configs.save("m", "SOLUSDT", _document(1, 2, 3), by="api")
    with pytest.raises(RevisionConflict):
        registry.configs.save("m", "SOLUSDT", _document(1, 2), by="api", expected_revision=1)


def test_saving_what_is_there_already_is_no_revision(registry: Registry, write_group: Write) -> None:
    registry.registrations.register("m", str(write_group()))
    saved = registry.configs.save("m", "SOLUSDT", _document(0.2, 0.2, 0.2), by="api")
    assert (saved.record.revision, len(registry.configs.history("m", "SOLUSDT"))) == (1, 1)


def test_a_restored_revision_is_a_new_one_and_leaves_dropped_factors_alone(
    registry: Registry, write_group: Write
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    registry.configs.save("m", "SOLUSDT", _document(1, 2, 3), by="api", note="first")
    registry.configs.save("m", "SOLUSDT", _document(4, 5, 6), by="api")
    (root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("momentum_5\nspread_3\nnew\n")
    registry.registrations.refresh("m")
    restored = registry.configs.restore("m", "SOLUSDT", 2, by="dashboard")
    assert restored.config.mean_values == (1.0, 3.0, 0.2)
    assert restored.record.values["volatility_20"].mean == 5.0
    history = registry.configs.history("m", "SOLUSDT")
    assert [(one.by, one.action) for one in history] == [
        ("scan", "create"), ("api", "edit"), ("api", "edit"), ("scan", "carry"), ("dashboard", "restore")
    ]  # fmt: skip
    assert (history[3].added, history[3].dropped) == (("new",), ("volatility_20",))
    with pytest.raises(RevisionNotFound, match="No revision 99"):
        registry.configs.restore("m", "SOLUSDT", 99, by="cli")


def test_registering_under_a_name_again_takes_the_new_root_and_keeps_what_people_set(
    registry: Registry, write_group: Write, tmp_path: Path
) -> None:
    root = write_group()
    created = registry.registrations.register("m", str(root)).model.created_at
    registry.configs.save("m", "SOLUSDT", _document(1, 2, 3), by="api")
    moved = root.rename(tmp_path / "elsewhere")
    done = registry.registrations.register("m", str(moved))
    assert (done.model.root_path, done.model.created_at) == (str(moved), created)
    assert registry.configs.get("m", "SOLUSDT").config.mean_values == (1.0, 2.0, 3.0)


def test_a_registration_that_fails_stores_nothing(registry: Registry, write_group: Write) -> None:
    write_group("A_x")
    root = write_group("A_y")
    with pytest.raises(DuplicateSymbols):
        registry.registrations.register("m", str(root))
    with pytest.raises(InvalidRoot):
        registry.registrations.register("m", str(root / "nowhere"))
    with pytest.raises(ModelNotFound):
        registry.registrations.refresh("m")
    assert registry.view().revision == 0


def test_orphaned_blobs_are_planned_then_removed_and_young_ones_stay(
    registry: Registry, write_group: Write, settings: Settings
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    registry.payloads.handle("m", "SOLUSDT")
    blobs = [path for path in (settings.data_dir / "blobs").rglob("*") if path.is_file()]
    assert registry.housekeeping.plan_cleanup().orphans == ()
    registry.registrations.delete("m")
    assert registry.housekeeping.plan_cleanup().orphans == ()
    for path in blobs:
        os.utime(path, (1, 1))
    plan = registry.housekeeping.plan_cleanup()
    assert {entry.path for _, entry in plan.orphans} == set(blobs)
    assert registry.housekeeping.diagnose().orphaned_blobs == len(blobs)
    assert registry.housekeeping.execute(plan) == plan.size_bytes > 0
    assert [path for path in blobs if path.exists()] == []


def test_blobs_in_use_survive_a_plan_made_before_they_were_needed(
    registry: Registry, write_group: Write, settings: Settings
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    registry.registrations.delete("m")
    for path in (settings.data_dir / "blobs").rglob("*.json"):
        os.utime(path, (1, 1))
    plan = registry.housekeeping.plan_cleanup()
    assert len(plan.orphans) == 1
    registry.registrations.register("m", str(root))
    assert registry.housekeeping.execute(plan) == 0
    assert registry.payloads.handle("m", "SOLUSDT").size_bytes > 0


def _make_old(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))


def test_the_model_of_an_earlier_scan_that_is_kept_is_no_orphan(
    registry: Registry, write_group: Write, settings: Settings, booster_json: bytes
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    before = registry.group("m", "SOLUSDT")[2]
    write_group(model_json=booster_json.replace(b'"attributes":{}', b'"attributes":{"run":"2"}'))
    registry.registrations.refresh("m")
    _make_old(settings.data_dir / "blobs")
    registry.housekeeping.execute(registry.housekeeping.plan_cleanup())
    assert registry.payloads.model_json("m", before) == booster_json


def test_onnx_that_was_converted_is_no_orphan_while_its_model_is_kept(
    registry: Registry, write_group: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversions: list[bytes] = []
    monkeypatch.setattr(OnnxConverter, "convert", lambda self, data: conversions.append(data) or b"onnx")
    registry.registrations.register("m", str(write_group()))
    assert registry.payloads.onnx("m", "SOLUSDT").data == b"onnx"
    _make_old(settings.data_dir / "blobs")
    registry.housekeeping.execute(registry.housekeeping.plan_cleanup())
    assert registry.payloads.onnx("m", "SOLUSDT").data == b"onnx"
    assert len(conversions) == 1
    registry.registrations.delete("m")
    registry.housekeeping.execute(registry.housekeeping.plan_cleanup())
    assert [path for path in (settings.data_dir / "blobs").rglob("*") if path.is_file()] == []


def _onnx_of(registry: Registry, settings: Settings) -> Path:
    digest = registry.group("m", "SOLUSDT")[2].onnx_sha256
    assert digest is not None
    return BlobDirectory(settings.data_dir / "blobs" / "models").location(digest, ".onnx")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"damaged")])
def test_the_groups_own_onnx_is_read_again_where_what_was_kept_of_it_is_lost_or_damaged(
    registry: Registry,
    write_group: Write,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
) -> None:
    monkeypatch.setattr(OnnxConverter, "convert", lambda self, data: b"converted from the booster")
    registry.registrations.register("m", str(write_group(model_onnx=b"the researcher's own")))
    before = registry.payloads.onnx("m", "SOLUSDT")
    damage(_onnx_of(registry, settings))
    assert registry.payloads.onnx("m", "SOLUSDT") == before
    assert before.data == b"the researcher's own"
    assert _onnx_of(registry, settings).read_bytes() == before.data


@pytest.mark.parametrize("now", [b"another", None])
def test_no_other_onnx_stands_in_for_the_groups_own_one_that_is_lost_and_changed(
    registry: Registry, write_group: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch, now: bytes | None
) -> None:
    monkeypatch.setattr(OnnxConverter, "convert", lambda self, data: b"converted from the booster")
    root = write_group(model_onnx=b"the researcher's own")
    registry.registrations.register("m", str(root))
    _onnx_of(registry, settings).unlink()
    file = root / "SOLUSDT_mid_chg_1m_model.onnx"
    file.unlink()
    if now is not None:
        file.write_bytes(now)
    with pytest.raises(PayloadChanged, match=r"ONNX file of group 'SOLUSDT_mid_chg_1m' is no longer kept.*refresh"):
        registry.payloads.onnx("m", "SOLUSDT")
    registry.registrations.refresh("m")
    assert registry.payloads.onnx("m", "SOLUSDT").data == (now or b"converted from the booster")


def test_a_blob_that_is_made_again_after_the_plan_stays_though_nothing_refers_to_it_yet(
    registry: Registry, write_group: Write, settings: Settings, booster_json: bytes
) -> None:
    registry.registrations.register("m", str(write_group()))
    registry.registrations.delete("m")
    _make_old(settings.data_dir / "blobs")
    plan = registry.housekeeping.plan_cleanup()
    assert len(plan.orphans) == 1
    BlobDirectory(settings.data_dir / "blobs" / "models").put(booster_json, ".json")
    assert registry.housekeeping.execute(plan) == 0


def test_a_model_that_comes_into_service_while_blobs_are_removed_keeps_its_own(
    registry: Registry, write_group: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_group()
    registry.registrations.register("m", str(root))
    registry.registrations.delete("m")
    _make_old(settings.data_dir / "blobs")
    plan = registry.housekeeping.plan_cleanup()
    assert len(plan.orphans) == 1
    found = registry.housekeeping._orphans

    def find_again(grace_seconds: float) -> Iterable[object]:
        again = list(found(grace_seconds))
        registry.registrations.register("m", str(root))
        return again

    monkeypatch.setattr(registry.housekeeping, "_orphans", find_again)
    assert registry.housekeeping.execute(plan) == 0
    assert plan.orphans[0][1].path.exists()


def test_young_payloads_cost_a_cleaning_next_to_no_memory(registry: Registry, settings: Settings) -> None:
    blobs = BlobDirectory(settings.data_dir / "blobs" / "payloads")
    count = 3000
    for number in range(count):
        path = blobs.location(f"{number * 7919:064x}"[::-1], ".gzip")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    tracemalloc.start()
    try:
        assert registry.housekeeping.plan_cleanup().orphans == ()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * count  # entries held for each of them took 640 bytes


def test_a_blob_that_is_put_while_it_is_removed_is_there_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = BlobDirectory(tmp_path)
    digest = blobs.put(b"content", ".json")
    rename = os.rename

    def put_at_once(*names: Path) -> None:
        rename(*names)
        blobs.put(b"content", ".json")

    monkeypatch.setattr(os, "rename", put_at_once)
    blobs.remove(next(blobs.entries()))
    assert blobs.get(digest, ".json") == b"content"


@pytest.mark.parametrize("ends", ["at once", "later"])
def test_what_a_cleaner_that_was_killed_had_taken_aside_is_removed_by_the_next(
    registry: Registry, write_group: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    registry.registrations.register("m", str(write_group()))
    registry.registrations.delete("m")
    blobs = settings.data_dir / "blobs"
    _make_old(blobs)
    plan = registry.housekeeping.plan_cleanup()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat" if ends == "at once" else "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            plan.orphans[0][0].remove(plan.orphans[0][1])
    assert [path for path in blobs.rglob("*") if path.is_file()] != []
    registry.housekeeping.execute(registry.housekeeping.plan_cleanup())
    assert [path for path in blobs.rglob("*") if path.is_file()] == []


def test_a_server_removes_what_nothing_refers_to_while_it_runs(
    registry: Registry, write_group: Write, settings: Settings
) -> None:
    registry.registrations.register("m", str(write_group()))
    registry.payloads.handle("m", "SOLUSDT")
    registry.registrations.delete("m")
    blobs = settings.data_dir / "blobs"
    _make_old(blobs)
    cleaner = Cleaner(registry.housekeeping, every_seconds=0.05)
    with kept_current(replace(registry, cleaner=cleaner), settings):
        wait_until(lambda: not any(path.is_file() for path in blobs.rglob("*")))
    assert "cleaner" not in {thread.name for thread in threading.enumerate()}


def test_cleaning_goes_on_after_a_disk_that_failed(
    registry: Registry, write_group: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.registrations.register("m", str(write_group()))
    registry.registrations.delete("m")
    blobs = settings.data_dir / "blobs"
    _make_old(blobs)
    failures, plan_cleanup = [OSError("the disk is away")], registry.housekeeping.plan_cleanup

    def fail_once(*grace: float) -> object:
        if failures:
            raise failures.pop()
        return plan_cleanup(*grace)

    monkeypatch.setattr(registry.housekeeping, "plan_cleanup", fail_once)
    cleaner = Cleaner(registry.housekeeping, every_seconds=0.02)
    cleaner.start()
    wait_until(lambda: not any(path.is_file() for path in blobs.rglob("*")))
    cleaner.stop()
    assert failures == []
