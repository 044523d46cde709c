"""Files that are damaged, gone or of a newer version: what is said, what comes back, what is kept."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mm_core.errors import StoreCorrupt, StoreError, StoreFull, StoreTooNew
from mm_core.store import TinyDBStore, copies, durable, tinydb_store
from tests.store.test_contract import MODEL, make_scan, record

GOLDEN = Path(__file__).parent / "golden"
Harm = Callable[[Path], object]


def _newer(path: Path) -> None:
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({"format": 99, "tables": document["tables"]}))


def _flipped(path: Path) -> None:
    """Change one digit of a value, so that the file is JSON still."""
    data = path.read_bytes()
    at = next(at for at in reversed(range(len(data))) if data[at : at + 1].isdigit())
    path.write_bytes(data[:at] + (b"1" if data[at : at + 1] != b"1" else b"2") + data[at + 1 :])


HARMS: dict[str, Harm] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "other JSON": lambda path: path.write_bytes(b'{"format": 3, "tables": {"models": {"1": {"name": 1}}}}'),
    "one digit": _flipped,
    "newer": _newer,
    "gone": lambda path: path.unlink(),
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state with two revisions of one config, three commits."""
    store = TinyDBStore(tmp_path)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(3))
    for number in (1, 2):
        with store.transaction() as transaction:
            transaction.configs.save(*record(number, float(number)))
    return tmp_path


def _file(state: Path, what: str) -> Path:
    """Return a file that the newest state names."""
    if what == "registry":
        return state / "registry.json"
    if what in ("index", "groups"):
        return next((state / "scans").rglob("index-*" if what == "index" else "shard-*"))
    shards = (state / "configs" / "m" / "shards").iterdir()
    (shard,) = (path for path in shards if path.name in (state / "registry.json").read_text())
    if what == "shard":
        return shard
    number = {"revision": "00000002", "older revision": "00000001"}[what]
    return next((state / "configs").rglob(f"{number}-*"))


def keep_copies_beside_damage(state: Path, path: Path, harm: Harm) -> None:
    """Harm a file of an old state, keep its copies up, and repair it: it has to be all that a repair changes."""
    TinyDBStore(state).complete_copies()
    harm(path)
    an_hour_ago = time.time() - 3600
    for each in state.rglob("*.json"):
        os.utime(each, (an_hour_ago, an_hour_ago))
    TinyDBStore(state).complete_copies(again=True)
    store = TinyDBStore(state)
    assert [repair.path for repair in store.repair(store.plan_repairs())] == [path]


def _is_whole(state: Path) -> None:
    view = TinyDBStore(state).view()
    assert (view.revision, view.configs.record("m", "A000")) == (3, record(2, 2.0)[0])
    assert view.configs.history("m", "A000") == (record(1, 1.0)[1], record(2, 2.0)[1])


@pytest.mark.parametrize(
    ("what", "harm"),
    [
        ("registry", "other JSON"),
        *(
            (what, harm)
            for what in ("registry", "shard", "revision", "older revision")
            for harm in HARMS
            if harm != "other JSON"
        ),
    ],
)
def test_what_people_entered_comes_back_whole_and_what_was_damaged_is_kept(state: Path, what: str, harm: str) -> None:
    path = _file(state, what)
    HARMS[harm](path)
    damaged = path.read_bytes() if path.exists() else None
    store = TinyDBStore(state)
    (repair,) = store.plan_repairs()
    assert (repair.path, repair.can_be_made, str(path) in repair.problem) == (path, True, True)
    assert "doctor --repair" in repair.problem
    assert repair.problem in store.problems()
    assert (path.read_bytes() if path.exists() else None) == damaged, "looking changes nothing"
    assert [done.path for done in store.repair((repair,))] == [path]
    assert TinyDBStore(state).plan_repairs() == ()
    _is_whole(state)
    kept = [aside.read_bytes() for aside in (state / "set-aside").rglob(path.name)]
    assert kept == ([damaged] if damaged is not None else [])


@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm != "other JSON"])
@pytest.mark.parametrize("what", ["registry", "shard", "revision"])
def test_damage_is_a_sentence_wherever_it_is_met(state: Path, what: str, harm: str) -> None:
    path = _file(state, what)
    HARMS[harm](path)
    error = StoreTooNew if harm == "newer" else StoreCorrupt
    with pytest.raises(error, match=str(path)) as raised:
        TinyDBStore(state).view().configs.record("m", "A000")
    assert "doctor --repair" in raised.value.detail
    if what == "registry":
        with pytest.raises(error), TinyDBStore(state).transaction():
            pytest.fail("opened")


@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm not in ("gone", "other JSON")])
@pytest.mark.parametrize("what", ["index", "groups"])
def test_a_damaged_scan_costs_a_refresh_and_no_config(state: Path, what: str, harm: str) -> None:
    path = _file(state, what)
    HARMS[harm](path)
    store = TinyDBStore(state)
    assert store.view().scan("m") is None
    (repair,) = store.plan_repairs()
    assert (repair.path, repair.loss) == (path, "Nothing: its groups are read again.")
    store.repair((repair,))
    assert not path.exists()
    assert len(list((state / "set-aside").rglob(path.name))) == 1
    with store.transaction() as transaction:
        transaction.save_scan("m", make_scan(3))
    assert TinyDBStore(state).problems() == ()
    assert TinyDBStore(state).view().configs.record("m", "A000") == record(2, 2.0)[0]


def test_a_refresh_heals_a_damaged_scan_without_a_repair(state: Path) -> None:
    HARMS["cut"](_file(state, "groups"))
    store = TinyDBStore(state)
    with store.transaction() as transaction:
        transaction.save_scan("m", make_scan(4))
    assert TinyDBStore(state).view().scan("m") == make_scan(4)


def test_a_copy_that_is_older_says_which_revisions_are_lost_and_never_gives_one_twice(state: Path) -> None:
    path, copy = state / "registry.json", state / "copies" / "registry.json"
    older = copy.read_bytes()
    with TinyDBStore(state).transaction() as transaction:
        transaction.save_model(replace(MODEL, root_path="/lost"))
    copy.write_bytes(older)
    path.write_bytes(path.read_bytes()[:-1])
    store = TinyDBStore(state)
    (repair,) = store.plan_repairs()
    assert repair.loss == "Revision 4 → 3, put back as revision 5: what was saved in between."
    store.repair((repair,))
    assert (store.view().revision, store.view().model("m").root_path) == (5, "/root")
    assert store.plan_repairs() == ()


def test_damage_without_a_good_copy_is_left_to_a_backup_and_to_nobody_else(state: Path) -> None:
    for path in (state / "registry.json", state / "copies" / "registry.json"):
        path.write_bytes(b"{")
    store = TinyDBStore(state)
    (repair,) = store.plan_repairs()
    assert (repair.can_be_made, repair.loss) == (False, "There is no good copy: restore a backup.")
    assert store.repair((repair,)) == ()
    assert (state / "registry.json").read_bytes() == b"{"


def test_a_repair_does_what_is_still_so(state: Path) -> None:
    path = _file(state, "revision")
    whole = path.read_bytes()
    HARMS["cut"](path)
    store = TinyDBStore(state)
    plan = store.plan_repairs()
    path.write_bytes(whole)
    assert store.repair(plan) == ()
    assert not (state / "set-aside").exists()


def test_a_registry_that_is_gone_is_no_new_store(state: Path) -> None:
    (state / "registry.json").unlink()
    with pytest.raises(StoreCorrupt, match="is missing"), TinyDBStore(state).transaction():
        pytest.fail("a first commit over a lost state")


def test_a_first_commit_that_was_killed_leaves_a_new_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mm_core.store.tinydb_store.write_durably", killed)
    with pytest.raises(KeyboardInterrupt), TinyDBStore(tmp_path).transaction() as transaction:
        transaction.save_model(MODEL)
    assert TinyDBStore(tmp_path).view().revision == 0


def test_copies_of_an_older_state_are_made_once(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "format-3", tmp_path, dirs_exist_ok=True)
    store = TinyDBStore(tmp_path)
    made = [tmp_path / "registry.json", *(tmp_path / "configs").rglob("*.json")]
    assert store.complete_copies() == len(made) > 2
    assert (store.complete_copies(), store.complete_copies(again=True)) == (0, 0)
    for path in made:
        assert (tmp_path / "copies" / path.relative_to(tmp_path)).read_bytes() == path.read_bytes()


def test_copies_of_what_is_deleted_go_too(state: Path) -> None:
    with TinyDBStore(state).transaction() as transaction:
        transaction.delete_model("m", "2026")
    assert [path.name for path in (state / "copies").rglob("*.json")] == ["registry.json"]


def test_a_copy_that_cannot_be_written_refuses_the_commit(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(state / "copies")
    (state / "copies").write_text("a file where a directory belongs")
    store = TinyDBStore(state)
    with pytest.raises(StoreError, match="Nothing was changed"), store.transaction() as transaction:
        transaction.configs.save(*record(3, 3.0))
    (state / "copies").unlink()
    store.complete_copies()
    _is_whole(state)


def _copy_of(state: Path, path: Path) -> Path:
    return state / "copies" / path.relative_to(state)


@pytest.mark.parametrize("harm", ["cut", "empty", "zeros", "one digit", "gone"])
@pytest.mark.parametrize("what", ["registry", "shard", "revision", "older revision"])
def test_a_copy_that_was_lost_is_told_of_and_made_again(state: Path, what: str, harm: str) -> None:
    store = TinyDBStore(state)
    assert store.complete_copies() == 0, "each was written with its original"
    path = _file(state, what)
    copy = _copy_of(state, path)
    HARMS[harm](copy)
    (problem,) = store.problems()
    assert str(copy) in problem
    (repair,) = store.plan_repairs()
    assert (repair.path, repair.can_be_made, repair.loss) == (copy, True, "Nothing: the file itself is whole.")
    store.repair((repair,))
    assert copy.read_bytes() == path.read_bytes()
    assert TinyDBStore(state).problems() == ()
    path.unlink()
    (repair,) = store.plan_repairs()
    store.repair((repair,))
    _is_whole(state)


@pytest.mark.parametrize("harm", ["cut", "empty", "zeros", "one digit", "gone"])
@pytest.mark.parametrize("what", ["registry", "shard", "revision", "older revision"])
def test_copies_that_a_power_cut_emptied_are_made_again_at_the_next_start_of_the_machine(
    state: Path, what: str, harm: str
) -> None:
    store = TinyDBStore(state)
    store.complete_copies()
    copy = _copy_of(state, _file(state, what))
    HARMS[harm](copy)
    assert store.complete_copies() == 0, "the machine was not started since: nothing is read"
    (state / "copies" / "complete").write_text("an earlier boot")
    assert TinyDBStore(state).complete_copies() == 1
    assert copy.read_bytes() == _file(state, what).read_bytes()
    assert TinyDBStore(state).complete_copies() == 0


def test_a_state_of_an_older_version_is_not_damaged_for_want_of_copies(state: Path) -> None:
    shutil.rmtree(state / "copies")
    assert TinyDBStore(state).problems() == ()
    assert TinyDBStore(state).complete_copies() == 4
    assert TinyDBStore(state).problems() == ()


def test_a_save_that_the_disk_refuses_leaves_the_copy_of_the_state_as_it_was(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = state / "copies" / "registry.json"
    before = copy.read_bytes()

    store = TinyDBStore(state)
    monkeypatch.setattr(copies, "open_new", lambda _: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(StoreFull), store.transaction() as transaction:
        transaction.save_model(replace(MODEL, root_path="/refused"))
    monkeypatch.undo()
    assert copy.read_bytes() == before
    assert list((state / "copies").glob(".tmp-*")) == []
    assert TinyDBStore(state).problems() == ()
    _is_whole(state)


def test_what_refused_saves_left_is_deleted_once_it_is_old(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TinyDBStore(state)
    store.complete_copies()
    before = sorted(path for path in state.rglob("*.json") if path.is_file())

    def refuse(*_: object, **__: object) -> None:
        raise StoreError("The state cannot be written.")

    monkeypatch.setattr(tinydb_store, "write_durably", refuse)
    for number in range(3, 6):
        with pytest.raises(StoreError), store.transaction() as transaction:
            transaction.configs.save(*record(number, float(number)))
    monkeypatch.undo()
    left = {path for path in state.rglob("*.json") if path.is_file()} - set(before)
    assert left, "who may have been told of a commit is never robbed of its files"
    assert TinyDBStore(state).complete_copies(again=True) == 0
    assert left <= set(state.rglob("*.json")), "they are young"
    an_hour_ago = time.time() - 3600
    for path in left:
        os.utime(path, (an_hour_ago, an_hour_ago))
    TinyDBStore(state).complete_copies(again=True)
    assert sorted(path for path in state.rglob("*.json") if path.is_file()) == before
    _is_whole(state)


@pytest.mark.parametrize("harm", ["cut", "newer", "gone"])
@pytest.mark.parametrize("what", ["shard", "revision"])
def test_upkeep_beside_a_damaged_file_takes_nothing_that_the_file_names(state: Path, what: str, harm: str) -> None:
    keep_copies_beside_damage(state, _file(state, what), HARMS[harm])
    _is_whole(state)


def test_each_directory_of_a_new_state_reaches_the_disk_with_what_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    really_sync = os.fsync

    def fsync(descriptor: int) -> None:
        synced.add(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    data = tmp_path / "new" / "data"
    store = TinyDBStore(data)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.configs.save(*record(1, 1.0))
    made = {path for path in data.rglob("*") if path.is_dir() and "copies" not in path.parts} | {data}
    assert {str(path.parent) for path in made} <= synced


def test_a_disk_that_does_not_confirm_is_not_said_to_have_changed_nothing(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable, "sync_directory", refuse)
    with pytest.raises(StoreError, match="did not confirm") as raised:
        durable.write_durably(state / "registry.json", b"{}")
    assert "Nothing was changed" not in raised.value.detail
    assert (state / "registry.json").read_bytes() == b"{}"
