"""Files that are damaged, gone or of a newer version: what is said, what comes back, what is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mm_core.errors import StoreCorrupt, StoreError, StoreTooNew
from mm_core.store import TinyDBStore
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
            transaction.save_factor_config(*record(number, float(number)))
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


def _is_whole(state: Path) -> None:
    view = TinyDBStore(state).view()
    assert (view.revision, view.factor_config("m", "A000")) == (3, record(2, 2.0)[0])
    assert view.factor_config_history("m", "A000") == (record(1, 1.0)[1], record(2, 2.0)[1])


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
        TinyDBStore(state).view().factor_config("m", "A000")
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
    assert TinyDBStore(state).view().factor_config("m", "A000") == record(2, 2.0)[0]


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
        transaction.save_factor_config(*record(3, 3.0))
    (state / "copies").unlink()
    store.complete_copies()
    _is_whole(state)
