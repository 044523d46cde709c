"""What every storage backend promises of what people set for versions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mm_core.domain.configs import CellChange, FactorConfigRecord, FactorConfigRevision, FromFiles, Normalization
from mm_core.store import RegistryStore, TinyDBStore
from tests.store.test_contract import MODEL, make_scan, open_store, record, store

__all__ = ["open_store", "store"]

GOLDEN = Path(__file__).parent / "golden" / "format-5"
Open = Callable[[], RegistryStore]


def override(
    revision: int, mean: float, version: str = "v1.1.0", family: str = "early-signal"
) -> tuple[FactorConfigRecord, FactorConfigRevision]:
    """A mean that was set for a version, a variance of 0 beside it, and the revision that led there."""
    values = {"momentum": Normalization(mean, 0.1 + 0.2), "flat": Normalization(mean, 0.0)}
    changes = {"momentum": CellChange(None, values["momentum"]), "flat": CellChange(values["flat"], None)}
    return (
        FactorConfigRecord(family, version, revision, "2024", "2025", values),
        FactorConfigRevision(revision, "2025", "cli", "edit", "note", changes, ("x",), ("y",)),
    )


def test_a_new_store_has_nothing_set_for_versions(store: RegistryStore) -> None:
    normalizers = store.view().normalizers
    assert (normalizers.record("m", "v1.0.0"), normalizers.stamp("m", "v1.0.0")) == (None, None)
    assert (normalizers.stamps("m"), normalizers.history("m", "v1.0.0")) == ({}, ())


def test_what_was_set_for_versions_comes_back_equal_in_another_process(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        transaction.normalizers.save(*override(1, 0.5))
        transaction.normalizers.save(*override(1, 2.0, "v2.0.0"))
    with open_store().transaction() as transaction:
        transaction.normalizers.save(*override(2, 0.75))
    normalizers = open_store().view().normalizers
    assert normalizers.record("early-signal", "v1.1.0") == override(2, 0.75)[0]
    assert normalizers.history("early-signal", "v1.1.0") == (override(1, 0.5)[1], override(2, 0.75)[1])
    assert normalizers.stamps("early-signal") == {"v1.1.0": ("v1.1.0", 2, "2025"), "v2.0.0": ("v2.0.0", 1, "2025")}
    assert normalizers.stamps("late-signal") == {}


def test_which_numbers_nobody_set_is_kept_for_versions(open_store: Open) -> None:
    for revision, from_files in ((1, {"momentum": FromFiles(False, True)}), (2, {}), (3, None)):
        record, change = override(revision, 0.5)
        with open_store().transaction() as transaction:
            transaction.normalizers.save(replace(record, from_files=from_files), change)
        found = open_store().view().normalizers.record("early-signal", "v1.1.0")
        assert found == replace(record, from_files=from_files)


def test_two_versions_that_differ_by_case_are_two(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        transaction.normalizers.save(*override(1, 1.0, "v1.0.0-RC"))
        transaction.normalizers.save(*override(1, 2.0, "v1.0.0-rc"))
    normalizers = open_store().view().normalizers
    means = [normalizers.record("early-signal", f"v1.0.0-{label}").values["flat"].mean for label in ("RC", "rc")]
    assert means == [1.0, 2.0]
    assert normalizers.record("early-signal", "v1.0.0-Rc") is None


def test_a_version_called_as_a_symbol_of_a_model_of_the_same_name_is_another_subject(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.configs.save(*record(1, 9.0))
        transaction.normalizers.save(*override(1, 1.0, "A000", "m"))
    view = open_store().view()
    assert (view.configs.record("m", "A000"), view.normalizers.record("m", "A000")) == (
        record(1, 9.0)[0],
        override(1, 1.0, "A000", "m")[0],
    )


def test_what_was_set_for_versions_stays_when_a_registration_of_that_name_is_deleted(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(1))
        transaction.configs.save(*record(1, 9.0))
        transaction.normalizers.save(*override(1, 1.0, family="m"))
    with open_store().transaction() as transaction:
        transaction.delete_model("m", "2026")
    view = open_store().view()
    assert (view.models(), view.configs.stamps("m")) == ((), {})
    assert view.normalizers.record("m", "v1.1.0") == override(1, 1.0, family="m")[0]
    assert view.normalizers.history("m", "v1.1.0") == (override(1, 1.0)[1],)


def test_a_view_shows_what_was_set_at_its_own_revision_for_ever(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.normalizers.save(*override(1, 1.0))
    before = store.view()
    with store.transaction() as transaction:
        transaction.normalizers.save(*override(2, 2.0))
        assert transaction.normalizers.record("early-signal", "v1.1.0") == override(2, 2.0)[0]
        assert len(transaction.normalizers.history("early-signal", "v1.1.0")) == 2
        assert store.view().normalizers.stamp("early-signal", "v1.1.0").revision == 1, "nothing is committed yet"
    assert (before.revision, store.view().revision) == (1, 2)
    assert before.normalizers.record("early-signal", "v1.1.0") == override(1, 1.0)[0]


def test_an_exception_sets_nothing_for_a_version(open_store: Open) -> None:
    store = open_store()
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
        transaction.normalizers.save(*override(1, 1.0))
        raise ZeroDivisionError
    assert (store.view().revision, open_store().view().normalizers.stamps("early-signal")) == (0, {})


def test_a_view_tells_what_was_set_for_versions_since_another(open_store: Open) -> None:
    store = open_store()
    views = [store.view()]
    for revision, versions in ((1, ("v1.0.0", "v1.1.0")), (2, ("v1.1.0",))):
        with store.transaction() as transaction:
            for version in versions:
                transaction.normalizers.save(*override(revision, 1.0, version))
        views.append(open_store().view())
    assert views[2].normalizers.since("early-signal", views[1].normalizers) == {"v1.1.0"}
    assert views[2].normalizers.since("early-signal", views[2].normalizers) == frozenset()


def test_the_names_of_families_for_whose_versions_something_is_set_are_told(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        transaction.normalizers.save(*override(1, 1.0))
        transaction.normalizers.save(*override(1, 1.0, family="B"))
        assert transaction.normalizers.names() == ("B", "early-signal")
    view = open_store().view()
    assert (view.normalizers.names(), view.configs.names()) == (("B", "early-signal"), ())


def test_what_format_5_has_set_for_versions_is_read_for_ever(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path, dirs_exist_ok=True)
    view = TinyDBStore(tmp_path).view()
    assert view.normalizers.record("early-signal", "v1.1.0") == override(2, 0.75)[0]
    assert view.normalizers.history("early-signal", "v1.1.0") == (override(1, 0.5)[1], override(2, 0.75)[1])
    assert view.normalizers.record("n", "v2.0.0-rc.1") == override(1, 2.0, "v2.0.0-rc.1", "n")[0]


def test_a_state_of_format_4_has_nothing_set_for_versions_until_somebody_does(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN.with_name("format-4"), tmp_path, dirs_exist_ok=True)
    assert TinyDBStore(tmp_path).view().normalizers.names() == ()
    with TinyDBStore(tmp_path).transaction() as transaction:
        transaction.normalizers.save(*override(1, 1.0))
    view = TinyDBStore(tmp_path).view()
    assert view.normalizers.record("early-signal", "v1.1.0") == override(1, 1.0)[0]
    assert (view.scan("m"), view.configs.record("m", "A000")) == (make_scan(2, versions=2), record(1, 0.25)[0])
