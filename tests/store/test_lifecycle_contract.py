"""What every storage backend promises of versions and their events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mm_core.domain.lifecycle import Action, ModelType, Objective, Status, Tier
from mm_core.domain.version_records import Family, FieldChange, VersionEvent, VersionRecord
from mm_core.store import RegistryStore, StoreTransaction
from tests.store.test_contract import MODEL, make_scan, open_store, record, store

__all__ = ["open_store", "store"]

AT = "2026-04-03T12:00:00.000+00:00"
Open = Callable[[], RegistryStore]


def version(text: str = "v1.0.0", name: str = "m", **fields: object) -> VersionRecord:
    """A record with something in every field."""
    whole = VersionRecord(
        f"id of {name} {text}", name, text, ModelType.LIGHTGBM, Objective.DIRECTION_CLASSIFICATION, "direction", "1w",
        AT, AT, 0.1 + 0.2, None, Tier.FREE, Status.VALIDATED, True,
    )  # fmt: skip
    return replace(whole, **fields)


def event_of(record: VersionRecord, note: str = "because", before: Status | None = None) -> VersionEvent:
    """An event with something in every field."""
    changes = {"validation_score": FieldChange(None, record.validation_score), "pinned": FieldChange(False, True)}
    return VersionEvent(
        AT, "ann", Action.REGISTER, record.model_name, record.model_version, before, record.status, note, changes
    )


def put(transaction: StoreTransaction, *records: VersionRecord) -> None:
    """Save records, each with an event."""
    for one in records:
        transaction.lifecycle.save_version(one, event_of(one))


def test_a_new_store_knows_no_versions(store: RegistryStore) -> None:
    lifecycle = store.view().lifecycle
    assert (lifecycle.families(), lifecycle.family("m"), lifecycle.records("m")) == ((), None, ())
    assert (lifecycle.record("m", "v1.0.0"), lifecycle.record_by_id("x"), lifecycle.events("m")) == (None, None, ())


def test_versions_and_events_come_back_equal_in_another_process(open_store: Open) -> None:
    records = [version("v1.0.0"), version("v1.10.0", status=Status.DEPLOYED), version("20250724_150837", name="n")]
    with open_store().transaction() as transaction:
        put(transaction, *records)
    view = open_store().view()
    lifecycle = view.lifecycle
    assert view.revision == 1
    assert lifecycle.families() == (Family("m"), Family("n"))
    assert lifecycle.records("m") == (records[0], records[1])
    assert [type(one) for one in (lifecycle.records("n")[0].status, lifecycle.records("n")[0].tier_requirement)] == [
        Status,
        Tier,
    ]
    assert lifecycle.record("n", "20250724_150837") == lifecycle.record_by_id("id of n 20250724_150837") == records[2]
    assert lifecycle.record("m", "20250724_150837") is None
    assert lifecycle.events("m") == (event_of(records[0]), event_of(records[1]))


def test_a_view_shows_the_versions_of_its_own_revision_for_ever(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        put(transaction, version())
    before = store.view()
    for number in range(3):
        with store.transaction() as transaction:
            put(transaction, version(test_score=float(number)), version(f"v2.0.{number}"))
    assert before.lifecycle.records("m") == (version(),)
    assert len(before.lifecycle.events("m")) == 1
    assert len(store.view().lifecycle.records("m")) == 4
    assert len(store.view().lifecycle.events("m")) == 7


def test_a_transaction_sees_its_own_versions_and_events(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        put(transaction, version("v1.0.0"))
    with store.transaction() as transaction:
        put(transaction, version("v1.0.0", test_score=0.5), version("v2.0.0"), version("v1.0.0", "n"))
        lifecycle = transaction.lifecycle
        assert [family.name for family in lifecycle.families()] == ["m", "n"]
        assert [one.test_score for one in lifecycle.records("m")] == [0.5, None]
        assert lifecycle.record("m", "v1.0.0").test_score == 0.5
        assert lifecycle.record_by_id("id of n v1.0.0").model_name == "n"
        assert len(lifecycle.events("m")) == 3
        assert len(store.view().lifecycle.events("m")) == 1, "nothing is committed yet"


def test_an_exception_writes_no_version(open_store: Open) -> None:
    store = open_store()
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
        put(transaction, version())
        raise ZeroDivisionError
    assert (store.view().revision, open_store().view().lifecycle.families()) == (0, ())


def test_all_writes_of_a_transaction_are_one_commit(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(1))
        transaction.configs.save(*record(1, 2.0))
        put(transaction, version(), version("v2.0.0"), version(name="n"))
    view = open_store().view()
    assert view.revision == 1
    assert (view.configs.record("m", "A000").revision, len(view.lifecycle.records("m"))) == (1, 2)


def test_other_names_of_a_family_are_kept_and_its_versions_with_them(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        put(transaction, version())
    change = VersionEvent(AT, "ann", Action.ALIAS, "m", "", None, None, "", {"aliases": FieldChange("", "other")})
    with open_store().transaction() as transaction:
        transaction.lifecycle.save_family(Family("m", ("other",)), change)
        assert transaction.lifecycle.family("m").aliases == ("other",)
    with open_store().transaction() as transaction:
        put(transaction, version("v2.0.0"))
    lifecycle = open_store().view().lifecycle
    assert (lifecycle.family("m"), lifecycle.family("other")) == (Family("m", ("other",)), None)
    assert [one.action for one in lifecycle.events("m")] == ["register", "alias", "register"]
    assert len(lifecycle.records("m")) == 2


def test_versions_stay_when_a_registration_of_that_name_is_deleted(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        transaction.save_model(MODEL)
        put(transaction, version())
    with open_store().transaction() as transaction:
        transaction.delete_model("m", "2026")
    view = open_store().view()
    assert (view.models(), view.lifecycle.records("m"), len(view.lifecycle.events("m"))) == ((), (version(),), 1)


def test_a_commit_of_anything_else_leaves_versions_as_they_are(open_store: Open) -> None:
    with open_store().transaction() as transaction:
        put(transaction, version())
    with open_store().transaction() as transaction:
        transaction.save_model(MODEL)
    view = open_store().view()
    assert (view.revision, view.lifecycle.records("m")) == (2, (version(),))


def test_hundreds_of_versions_and_events_are_all_there_in_their_order(open_store: Open) -> None:
    store = open_store()
    for start in range(0, 300, 50):
        with store.transaction() as transaction:
            for number in range(start, start + 50):
                one = version(f"v1.0.{number}")
                transaction.lifecycle.save_version(one, event_of(one, note=str(number)))
    for lifecycle in (store.view().lifecycle, open_store().view().lifecycle):
        assert {one.model_version for one in lifecycle.records("m")} == {f"v1.0.{number}" for number in range(300)}
        assert [one.note for one in lifecycle.events("m")] == [str(number) for number in range(300)]
