"""Files of versions and events: what a write costs, what survives, what comes back after damage."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mm_core.domain.lifecycle import Status
from mm_core.domain.version_records import Family, replayed
from mm_core.errors import StoreCorrupt, StoreError
from mm_core.registry.lifecycle import Lifecycle
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.version_roots import ScannedRoots
from mm_core.store import TinyDBStore, family_files
from mm_core.store.durable import KEPT_SECONDS
from tests.store.test_contract import MODEL, make_scan, record
from tests.store.test_lifecycle_contract import event_of, put, version
from tests.store.test_repairs import HARMS

PROJECT = Path(__file__).parent.parent.parent
GOLDEN = Path(__file__).parent / "golden" / "format-4"
CURRENT = Path("lifecycle") / "m" / "current"


def _registered(state: Path, versions: int, groups: int = 0) -> TinyDBStore:
    store = TinyDBStore(state)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(groups))
        put(transaction, *(version(f"v1.0.{number}") for number in range(versions)))
    return store


def _files(state: Path) -> dict[Path, int]:
    return {path: path.stat().st_ino for path in state.rglob("*.json")}


def _written_by_one_move(state: Path, store: TinyDBStore) -> int:
    before = _files(state)
    with store.transaction() as transaction:
        put(transaction, version("v1.0.0", status=Status.DEPLOYED))
    return sum(path.stat().st_size for path, inode in _files(state).items() if before.get(path) != inode)


def test_what_one_move_writes_does_not_grow_with_versions_and_groups(tmp_path: Path) -> None:
    written = {
        (versions, groups): _written_by_one_move(
            tmp_path / f"{versions}-{groups}", _registered(tmp_path / f"{versions}-{groups}", versions, groups)
        )
        for versions, groups in ((200, 1), (3000, 1), (200, 400))
    }
    assert written[3000, 1] < 1.6 * written[200, 1]
    assert written[200, 400] < 1.1 * written[200, 1]


def test_saving_a_config_writes_no_more_where_there_are_many_versions(tmp_path: Path) -> None:
    written = []
    for versions in (1, 3000):
        state = tmp_path / str(versions)
        store = _registered(state, versions)
        before = _files(state)
        with store.transaction() as transaction:
            transaction.configs.save(*record(1, 2.0))
        new = [path for path, inode in _files(state).items() if before.get(path) != inode]
        assert not any("lifecycle" in path.parts for path in new)
        written.append(sum(path.stat().st_size for path in new))
    assert written[1] < 1.05 * written[0]


def test_what_nothing_names_any_more_goes_after_a_while_and_events_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family_files, "EVENTS_PER_FILE", 4)
    store = TinyDBStore(tmp_path)
    for number in range(11):
        for path in (tmp_path / CURRENT).glob("*"):
            os.utime(path, (1, 1))
        with store.transaction() as transaction:
            transaction.lifecycle.save_version(version(), event_of(version(), note=str(number)))
    for place in (tmp_path, tmp_path / "copies"):
        kinds = sorted(path.name.split("-")[0] for path in (place / CURRENT).iterdir())
        assert kinds == ["events", "events", "index", "index", "shard", "shard"], "the newest, and those before it"
        assert len(list((place / "lifecycle" / "m" / "events").iterdir())) == 2
    events = TinyDBStore(tmp_path).view().lifecycle.events("m")
    assert [one.note for one in events] == [str(number) for number in range(11)]


def test_a_view_that_is_held_while_files_go_shows_the_newest_versions(tmp_path: Path) -> None:
    _registered(tmp_path, 1)
    held = TinyDBStore(tmp_path).view()
    for number in range(3):
        for path in (tmp_path / CURRENT).glob("*"):
            os.utime(path, (1, 1))
        with TinyDBStore(tmp_path).transaction() as transaction:
            put(transaction, version("v1.0.0", test_score=float(number)))
    assert held.lifecycle.record("m", "v1.0.0").test_score == 2.0


def test_a_write_that_fails_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _registered(tmp_path, 3)
    before = _files(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    replace = os.replace
    calls: list[object] = []

    def fail_at_the_third(*paths: str | Path) -> None:
        calls.append(paths)
        if len(calls) == 3:
            fail()
        replace(*paths)

    monkeypatch.setattr(os, "replace", fail_at_the_third)
    with pytest.raises(StoreError, match="disk is full"), store.transaction() as transaction:
        put(transaction, version("v9.0.0"))
    monkeypatch.undo()
    assert _files(tmp_path).keys() == before.keys()
    assert store.view().lifecycle.record("m", "v9.0.0") is None


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state with two versions, and files of events that are full."""
    monkeypatch.setattr(family_files, "EVENTS_PER_FILE", 2)
    for number in range(5):
        with TinyDBStore(tmp_path).transaction() as transaction:
            one = version(f"v1.0.{number % 2}")
            transaction.lifecycle.save_version(one, event_of(one, note=str(number)))
    return tmp_path


def _file(state: Path, what: str) -> Path:
    """Return a file that the newest state names."""
    registry = (state / "registry.json").read_text()
    index = next(path for path in (state / CURRENT).glob("index-*") if path.name in registry)
    if what == "index":
        return index
    if what == "full events":
        return sorted((state / "lifecycle" / "m" / "events").iterdir())[0]
    return next(path for path in (state / CURRENT).glob(f"{what}-*") if path.name in index.read_text())


@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm != "other JSON"])
@pytest.mark.parametrize("what", ["index", "shard", "events", "full events"])
def test_each_file_of_versions_comes_back_from_its_copy(state: Path, what: str, harm: str) -> None:
    before = TinyDBStore(state).view().lifecycle
    wanted = before.records("m"), before.events("m")
    path = _file(state, what)
    HARMS[harm](path)
    store = TinyDBStore(state)
    with pytest.raises(StoreError, match=str(path)):
        (store.view().lifecycle.records("m"), store.view().lifecycle.events("m"))
    (repair,) = store.plan_repairs()
    assert (repair.path, repair.can_be_made) == (path, True)
    assert repair.problem in store.problems()
    store.repair((repair,))
    lifecycle = TinyDBStore(state).view().lifecycle
    assert (lifecycle.records("m"), lifecycle.events("m")) == wanted
    assert TinyDBStore(state).plan_repairs() == ()


def test_copies_of_versions_that_are_missing_are_made(state: Path) -> None:
    shutil.rmtree(state / "copies")
    store = TinyDBStore(state)
    assert store.complete_copies() == 1 + 3 + 2, "registry.json, index, shard, newest events, two full files"
    for path in (_file(state, what) for what in ("index", "shard", "events", "full events")):
        assert (state / "copies" / path.relative_to(state)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("harm", ["gone", "other bytes"])
@pytest.mark.parametrize("what", ["index", "events", "full events"])
def test_upkeep_beside_a_damaged_file_takes_nothing_that_the_file_names(state: Path, what: str, harm: str) -> None:
    TinyDBStore(state).complete_copies()
    before = TinyDBStore(state).view().lifecycle
    wanted = before.records("m"), before.events("m")
    path = _file(state, what)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(b"damaged")
    for each in state.rglob("*.json"):
        os.utime(each, (1, 1))
    TinyDBStore(state).complete_copies(again=True)
    store = TinyDBStore(state)
    assert [repair.path for repair in store.repair(store.plan_repairs())] == [path]
    lifecycle = TinyDBStore(state).view().lifecycle
    assert (lifecycle.records("m"), lifecycle.events("m")) == wanted


def test_a_write_that_never_ended_is_a_problem_that_doctor_tells(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / CURRENT / ".tmp-1").touch()
    assert TinyDBStore(state).problems() == (), "it may be going on"
    in_a_while = time.time() + KEPT_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: in_a_while)
    (problem,) = TinyDBStore(state).problems()
    assert "left over" in problem


def test_a_missing_file_keeps_a_change_from_being_stored_in_part(state: Path) -> None:
    path = _file(state, "shard")
    aside = path.rename(state / "aside")
    with pytest.raises(StoreCorrupt, match="is missing"), TinyDBStore(state).transaction() as transaction:
        put(transaction, version("v1.0.0", test_score=0.9))
    aside.rename(path)
    assert TinyDBStore(state).view().lifecycle.record("m", "v1.0.0").test_score is None


def test_versions_of_format_4_are_read_for_ever(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path, dirs_exist_ok=True)
    view = TinyDBStore(tmp_path).view()
    assert (view.revision, view.configs.record("m", "A000")) == (6, record(1, 0.25)[0])
    assert view.scan("m") == make_scan(2, versions=2)
    lifecycle = view.lifecycle
    assert lifecycle.families() == (Family("m", ("other",)), Family("n"))
    assert lifecycle.records("m") == (
        version("v1.0.0", status=Status.SHADOW),
        version("v1.1.0", status=Status.DEPLOYED),
    )
    assert lifecycle.records("n") == (version("20250724_150837", "n"),)
    assert [(one.version, one.before, one.after) for one in lifecycle.events("m")] == [
        ("v1.0.0", None, "validated"),
        ("v1.1.0", None, "validated"),
        ("", None, None),
        ("v1.0.0", "validated", "shadow"),
        ("v1.1.0", "validated", "deployed"),
    ]
    with TinyDBStore(tmp_path).transaction() as transaction:
        put(transaction, version("v2.0.0"))
    assert len(TinyDBStore(tmp_path).view().lifecycle.events("m")) == 6


PROMOTER = """
import sys, time
from pathlib import Path
from mm_core.domain.lifecycle import Status
from mm_core.registry.lifecycle import Lifecycle
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.version_roots import ScannedRoots
from mm_core.store import TinyDBStore
lifecycle = Lifecycle(TinyDBStore(Path(sys.argv[1]), lock_timeout=60), ScannedRoots())
version, number = sys.argv[2], int(sys.argv[3])
while True:
    record = lifecycle.record("m", version)
    if record.status is Status.DEPLOYED:
        time.sleep(0.001)  # until the other one is promoted
        continue
    lifecycle.move(record, Status.DEPLOYED, Author(version, f"round {number}"))
    print(number, flush=True)
    number += 1
"""


def _promoter(state: Path, version_text: str, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROMOTER, str(state), version_text, str(number)],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_promotion_that_was_acknowledged_survives_kill_9_and_never_are_two_deployed(tmp_path: Path) -> None:
    lifecycle = Lifecycle(TinyDBStore(tmp_path), ScannedRoots())
    for text in ("v1.0.0", "v2.0.0"):
        fields = {"model_type": "lightgbm", "objective": "price_prediction", "target_variable": "t"}
        named = {"model_name": "m", "model_version": text, "prediction_horizon": "1d", "status": "validated"}
        lifecycle.register({**named, **fields}, Author("beginning"))
    chance = random.Random(5)
    for turn in range(2):
        promoters = {name: _promoter(tmp_path, name, 1000 * turn) for name in ("v1.0.0", "v2.0.0")}
        told: dict[str, list[int]] = {}
        for name, promoter in promoters.items():
            assert promoter.stdout is not None
            told[name] = [int(promoter.stdout.readline())]
        reader, until = TinyDBStore(tmp_path), time.monotonic() + chance.uniform(0.05, 0.3)
        while time.monotonic() < until:
            deployed = [one for one in reader.view().lifecycle.records("m") if one.status is Status.DEPLOYED]
            assert len(deployed) == 1
        for name, promoter in promoters.items():
            promoter.send_signal(signal.SIGKILL)
            rest, _ = promoter.communicate()
            told[name] += map(int, rest.split())
        store = TinyDBStore(tmp_path, lock_timeout=2)
        assert store.plan_repairs() == ()
        events = store.view().lifecycle.events("m")
        for name, numbers in told.items():
            kept = [one.note for one in events if one.actor == name and one.version == name]
            assert set(kept) >= {f"round {number}" for number in numbers}
            assert len(set(kept)) == len(kept)
        records = {one.model_version: one for one in store.view().lifecycle.records("m")}
        assert replayed(events) == records
        assert sorted(one.status for one in records.values()) == ["deployed", "shadow"]
