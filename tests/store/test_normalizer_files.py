"""What was set for versions on a disk that fails: copies, repairs and upkeep treat it as all that people entered."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mm_core.errors import StoreCorrupt
from mm_core.store import TinyDBStore
from tests.store.test_normalizer_contract import override
from tests.store.test_repairs import HARMS, keep_copies_beside_damage

KINDS = ("shard", "revision", "older revision")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state with two revisions for one version, two commits."""
    store = TinyDBStore(tmp_path)
    for number in (1, 2):
        with store.transaction() as transaction:
            transaction.normalizers.save(*override(number, float(number)))
    return tmp_path


def _file(state: Path, what: str) -> Path:
    registry = (state / "registry.json").read_text()
    below = state / "normalizers" / "early-signal"
    if what == "shard":
        return next(path for path in (below / "shards").iterdir() if path.name in registry)
    number = {"revision": "00000002", "older revision": "00000001"}[what]
    return next(below.rglob(f"{number}-*"))


def _is_whole(state: Path) -> None:
    normalizers = TinyDBStore(state).view().normalizers
    assert normalizers.record("early-signal", "v1.1.0") == override(2, 2.0)[0]
    assert normalizers.history("early-signal", "v1.1.0") == (override(1, 1.0)[1], override(2, 2.0)[1])


@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm != "other JSON"])
@pytest.mark.parametrize("what", KINDS)
def test_what_was_set_for_versions_comes_back_from_its_copy(state: Path, what: str, harm: str) -> None:
    path = _file(state, what)
    HARMS[harm](path)
    store = TinyDBStore(state)
    (repair,) = store.plan_repairs()
    assert (repair.path, repair.can_be_made) == (path, True)
    assert repair.problem in store.problems()
    store.repair((repair,))
    assert TinyDBStore(state).problems() == ()
    _is_whole(state)


@pytest.mark.parametrize("harm", ["cut", "newer", "gone"])
@pytest.mark.parametrize("what", KINDS)
def test_upkeep_beside_a_damaged_file_takes_no_revision_of_a_version(state: Path, what: str, harm: str) -> None:
    keep_copies_beside_damage(state, _file(state, what), HARMS[harm])
    _is_whole(state)


def test_a_copy_of_what_was_set_for_versions_that_was_lost_is_made_anew(state: Path) -> None:
    store = TinyDBStore(state)
    store.complete_copies()
    copies = [state / "copies" / _file(state, what).relative_to(state) for what in KINDS]
    for copy in copies:
        copy.unlink()
    assert TinyDBStore(state).complete_copies(again=True) == 3
    assert all(copy.exists() for copy in copies)


def test_files_of_writes_that_never_ended_are_deleted_once_they_are_old(state: Path) -> None:
    left = state / "normalizers" / "early-signal" / "revisions" / "00" / "00000003-00.json"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(_file(state, "revision").read_bytes())
    an_hour_ago = time.time() - 3600
    os.utime(left, (an_hour_ago, an_hour_ago))
    TinyDBStore(state).complete_copies(again=True)
    assert not left.exists()
    _is_whole(state)


def test_a_missing_file_keeps_a_change_of_a_version_from_being_stored_in_part(state: Path) -> None:
    shard = _file(state, "shard")
    aside = shard.rename(state / "aside")
    with pytest.raises(StoreCorrupt, match="is missing"), TinyDBStore(state).transaction() as transaction:
        transaction.normalizers.save(*override(1, 1.0, "v2.0.0"))
    aside.rename(shard)
    _is_whole(state)


def test_shards_that_newer_ones_took_the_places_of_are_deleted(state: Path) -> None:
    for number in range(3, 13):
        with TinyDBStore(state).transaction() as transaction:
            transaction.normalizers.save(*override(number, float(number)))
    shards = state / "normalizers" / "early-signal" / "shards"
    an_hour_ago = time.time() - 3600
    for path in shards.iterdir():
        os.utime(path, (an_hour_ago, an_hour_ago))
    with TinyDBStore(state).transaction() as transaction:
        transaction.normalizers.save(*override(13, 13.0))
    assert len(list(shards.iterdir())) <= 2
    assert len(TinyDBStore(state).view().normalizers.history("early-signal", "v1.1.0")) == 13
