"""What commits that were refused had written: taken back at once, or deleted as soon as nobody can be at work on it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mm_core.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull
from mm_core.store import StoreTransaction, TinyDBStore, durable, pending_files, tinydb_store
from mm_core.store.durable import KEPT_SECONDS
from tests.store.test_contract import MODEL, make_group, make_scan, record
from tests.store.test_lifecycle_contract import put, version
from tests.store.test_normalizer_contract import override

OTHER = replace(MODEL, name="n")
PLACES = {
    "configs/n", "copies/configs/n", "lifecycle/early-signal", "copies/lifecycle/early-signal",
    "normalizers/early-signal", "copies/normalizers/early-signal", "scans/n",
}  # fmt: skip


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state whose model ``m`` has a config and a hundred groups in several files."""
    with TinyDBStore(tmp_path).transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(100))
        transaction.configs.save(*record(1, 1.0))
    return tmp_path


def _files(state: Path) -> set[str]:
    return {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()}


def _of_refused(state: Path) -> set[str]:
    return {place for place in PLACES if (state / place).exists()}


def _fill(transaction: StoreTransaction) -> None:
    """Write something of each kind for a name that the state does not have."""
    config, revision = record(1, 1.0)
    transaction.save_model(OTHER)
    transaction.save_scan("n", make_scan(3))
    transaction.configs.save(replace(config, model_name="n"), revision)
    transaction.normalizers.save(*override(1, 1.0))
    put(transaction, version(name="early-signal"))


def _left_by_a_refused_registration(state: Path, monkeypatch: pytest.MonkeyPatch) -> TinyDBStore:
    """Refuse to write the state itself, which may have come through all the same: nothing is taken back then."""
    store = TinyDBStore(state)
    with monkeypatch.context() as refusing:
        refusing.setattr(tinydb_store, "write_durably", _refused)
        with pytest.raises(StoreFull), store.transaction() as transaction:
            _fill(transaction)
    assert _of_refused(state) == PLACES
    return store


def _refused(*_: object, **__: object) -> None:
    raise StoreFull("The disk is full.")


def _a_minute_later(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> object:
    then = time.time() + KEPT_SECONDS + 1
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: then)
        return do()


def test_a_scan_whose_commit_is_refused_leaves_the_files_of_the_one_before_and_no_other(state: Path) -> None:
    before = _files(state)
    store = TinyDBStore(state)
    scan = make_scan(100)
    changed = replace(scan, groups={**scan.groups, "A042_r": make_group("A042_r", read_at="later")})
    for _ in range(3):
        with pytest.raises(StoreCorrupt), store.transaction() as transaction:
            transaction.save_scan("m", changed)
            assert transaction.scan("m") == changed
            raise StoreCorrupt("A config is damaged.")
        assert _files(state) == before
        assert store.view().scan("m") == TinyDBStore(state).view().scan("m") == scan
    with store.transaction() as transaction:
        transaction.save_scan("m", changed)
    assert TinyDBStore(state).view().scan("m") == changed
    assert TinyDBStore(state).problems() == ()


@pytest.mark.parametrize("full_at", ["shard-", "index-", "configs"])
def test_a_first_registration_that_finds_the_disk_full_leaves_no_file(
    state: Path, monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    before = _files(state)
    store, write = TinyDBStore(state), durable.write_durably

    def write_until_full(path: Path, data: bytes) -> None:
        if full_at in str(path.relative_to(state)):
            raise StoreFull("The disk is full.")
        write(path, data)

    monkeypatch.setattr(pending_files, "write_durably", write_until_full)
    for _ in range(3):
        with pytest.raises(StoreFull), store.transaction() as transaction:
            _fill(transaction)
        assert _files(state) == before


def test_a_scan_whose_commit_is_refused_is_not_kept_in_memory(state: Path) -> None:
    store = TinyDBStore(state)
    with pytest.raises(StoreError), store.transaction() as transaction:
        _fill(transaction)
        transaction.save_scan("m", make_scan(4))
        refused = {name: transaction.model(name) for name in ("m", "n")}
        raise StoreError("Something else cannot be written.")
    for name, model in refused.items():
        assert model is not None
        assert store._scans.load(name, model.scan_id or "") is None
    assert store.view().scan("m") == make_scan(100)


def test_what_a_refused_registration_left_is_deleted_once_it_is_old(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(state)
    store = _left_by_a_refused_registration(state, monkeypatch)
    assert (store.clear_unknown(), _of_refused(state)) == (0, PLACES), "it is young"
    assert _a_minute_later(monkeypatch, TinyDBStore(state).clear_unknown) == len(PLACES)
    assert _of_refused(state) == set()
    assert _files(state) == before
    assert TinyDBStore(state).view().scan("m") == make_scan(100)
    assert _a_minute_later(monkeypatch, store.clear_unknown) == 0
    assert TinyDBStore(state).problems() == ()


def test_a_look_at_the_copies_deletes_it_too(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _left_by_a_refused_registration(state, monkeypatch)
    _a_minute_later(monkeypatch, lambda: store.complete_copies(again=True))
    assert _of_refused(state) == set()


def test_a_registration_under_way_loses_nothing_however_long_it_takes(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TinyDBStore(state, lock_timeout=0.1)
    with TinyDBStore(state).transaction() as transaction:
        _fill(transaction)
        with pytest.raises(StoreBusy):
            _a_minute_later(monkeypatch, other.clear_unknown)
    assert other.view().scan("n") == make_scan(3)
    assert _a_minute_later(monkeypatch, other.clear_unknown) == 0
    assert _of_refused(state) == PLACES


@pytest.mark.parametrize("gone", [["registry.json"], ["registry.json", "copies"]])
def test_a_state_that_is_gone_loses_nothing_more(state: Path, monkeypatch: pytest.MonkeyPatch, gone: list[str]) -> None:
    for name in gone:
        path = state / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    before = _files(state)
    store = TinyDBStore(state)
    if "copies" in gone:
        assert _a_minute_later(monkeypatch, store.clear_unknown) == 0
    else:
        with pytest.raises(StoreCorrupt, match="is missing"):
            _a_minute_later(monkeypatch, store.clear_unknown)
    assert _files(state) == before


def test_what_no_model_can_be_called_is_left_where_it_is(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "scans" / "lost+found").mkdir()
    (state / "configs" / "notes.txt").write_text("ours")
    store = TinyDBStore(state)
    assert _a_minute_later(monkeypatch, store.clear_unknown) == 0
    assert (state / "scans" / "lost+found").is_dir()
    assert (state / "configs" / "notes.txt").is_file()
