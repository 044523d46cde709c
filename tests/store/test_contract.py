"""What every storage backend promises; a further backend is a further parameter of ``store``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mm_core.domain.configs import CellChange, FactorConfigRecord, FactorConfigRevision, Normalization
from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.files import FileRole, ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.groups import Group, ModelSummary, Scan, TrainingInfo
from mm_core.domain.models import DeletedModel, RegisteredModel
from mm_core.domain.runs import RunMetadata
from mm_core.domain.versions import (
    BoosterText,
    ClassMetrics,
    Evaluation,
    ModelContent,
    Normalizer,
    Version,
    VersionLayout,
    VersionMetadata,
    VersionNumber,
)
from mm_core.errors import ModelNotFound, StoreBusy
from mm_core.store import RegistryStore, TinyDBStore

LOCK_SECONDS = 0.3
BACKENDS: dict[str, Callable[[Path], RegistryStore]] = {
    "tinydb": lambda path: TinyDBStore(path, lock_timeout=LOCK_SECONDS)
}
MODEL = RegisteredModel("m", "/root", "2024-01-01", "2024-01-01")


@pytest.fixture(params=sorted(BACKENDS))
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], RegistryStore]:
    """Open the same state again, as another process would."""
    return lambda: BACKENDS[request.param](tmp_path / "state")


@pytest.fixture
def store(open_store: Callable[[], RegistryStore]) -> RegistryStore:
    """An empty store."""
    return open_store()


def make_group(key: str, *, read_at: str = "2024-01-01", factors: int = 3) -> Group:
    """A group with something in every field."""
    names = tuple(f"factor_{number}" for number in range(factors))
    taus = tuple(None if number == 1 else number / 100 for number in range(factors))
    return Group(
        group_key=key,
        symbol=key.split("_")[0],
        return_name="r",
        files=(ModelFile(FileRole.IC, f"{key}_ic.csv", 5, 1_700_000_000_123_456_789, 2, 3),),
        factors=FactorTable(names, taus),
        ic=IcTable(("S",) * factors, names, ("r",) * factors, taus, {"p": ("0.1",) * factors}),
        training=TrainingInfo(
            symbol="S", samples=7, seconds=1.5, selected_factors=names, config={"a": [1, {"b": None}]},
            feature_importance={"factor_0": 0.5},
        ),
        model=ModelSummary(f"{key}_model.json", "ab" * 32, 10, 3, "reg:squarederror", 4, 1, (3, 2, 0)),
        onnx_sha256=None,
        findings=(Finding(Severity.WARNING, "bad-number", f"{key}_ic.csv", "Not a number.", "Write one.", 3),),
        read_at=read_at,
    )  # fmt: skip


def make_version(path: str, *, read_at: str = "2024-01-01", sha256: str = "cd" * 32) -> Version:
    """A version with something in every field."""
    parent, _, version_id = path.rpartition("/")
    names = ("momentum", "spread")
    return Version(
        model_name=parent.rpartition("/")[2],
        version_id=version_id,
        number=VersionNumber.parse(version_id),
        layout=VersionLayout.VERSIONS,
        path=path,
        files=(ModelFile(FileRole.BOOSTER_TEXT, f"{path}/model.txt", 5, 1_700_000_000_123_456_789, 2, 3),),
        created_at="2025-10-09T21:09:18.536+00:00",
        findings=(Finding(Severity.WARNING, "tiny-std", f"{path}/normalizer.json", "Tiny.", "Write 0."),),
        read_at=read_at,
        model=ModelContent(sha256, 5),
        booster=BoosterText(names, "binary sigmoid:1", 1, 4, 12, (3, 5), (0.25, 1e6)),
        normalizer=Normalizer(names, (0.1, -2.0), (1.0, 0.0), (0.0, 9.5)),
        metadata=VersionMetadata(
            model_version="1.1.0", classes=("DOWN", "UP"), num_features=2, validation_accuracy=0.5,
            feature_names=names, hyperparameters={"max_depth": 7}, extra={"notes": ["a", {"b": None}], "big": 10**25},
        ),
        evaluation=Evaluation(
            0.75, 100, 0.5, {"UP": ClassMetrics(0.5, None, 0.25, 7)}, ((1, 2), (3, 4)), {"macro_roc_auc": 0.5}
        ),
        importance={"momentum": 3.0, "spread": 5.0},
        rules=1,
    )  # fmt: skip


def make_run(path: str) -> Version:
    """A training run with something in every field."""
    metrics = {"lstm": {"sharpe_ratio": 1.5, "win_rate": None}}
    return Version(
        model_name="models",
        version_id=path.rpartition("/")[2],
        number=None,
        layout=VersionLayout.RUNS,
        path=path,
        files=(ModelFile(FileRole.RUN_MODEL, f"{path}/lstm_model.h5", 5, 1, 2, 3),),
        created_at="2025-07-24T15:08:37.000+00:00",
        findings=(),
        read_at="2024-01-01",
        run=RunMetadata(
            "2025-07-24T16:00:00", {"lstm": {"units": 64}}, metrics, {"lstm": 1.0}, ("lstm",), 0.5, {"k": 1}
        ),
    )


def make_scan(count: int = 3, factors: int = 3, versions: int = 0) -> Scan:
    """Groups A000_r, A001_r, … and versions m/v1.0.0, m/v1.1.0, … with a run"""
    groups = {f"A{number:03d}_r": make_group(f"A{number:03d}_r", factors=factors) for number in range(count)}
    findings = (Finding(Severity.INFO, "linked-directory", "x", "A link.", "Nothing."),)
    if not versions:
        return Scan("2024-01-02", groups, findings)
    run = "models/20250724_150837"
    made = [make_version(f"m/v1.{number}.0", sha256=f"{number:064x}") for number in range(versions)] + [make_run(run)]
    by_path = {version.path: version for version in sorted(made, key=lambda version: version.path)}
    return Scan("2024-01-02", groups, findings, by_path, {"models": run})


def record(revision: int, value: float) -> tuple[FactorConfigRecord, FactorConfigRevision]:
    """A config of symbol A000 and the revision that led to it."""
    now = Normalization(value, 1.0)
    return (
        FactorConfigRecord("m", "A000", revision, "2024", "2025", {"factor_0": now}),
        FactorConfigRevision(
            revision, "2025", "cli", "edit", "note", {"factor_0": CellChange(None, now)}, ("x",), ("y",)
        ),
    )


def test_a_new_store_is_empty_at_revision_zero(store: RegistryStore) -> None:
    view = store.view()
    assert (view.revision, view.models(), view.scan("m"), view.configs.record("m", "A")) == (0, (), None, None)
    assert view.configs.history("m", "A") == ()
    assert store.problems() == ()


def test_everything_comes_back_equal_in_another_process(open_store: Callable[[], RegistryStore]) -> None:
    scan, (config, revision) = make_scan(), record(1, 0.1 + 0.2)
    with open_store().transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", scan)
        transaction.configs.save(config, revision)
    view = open_store().view()
    assert view.revision == 1
    assert view.scan("m") == scan
    assert list(view.scan("m").groups) == sorted(scan.groups)
    assert view.configs.record("m", "a000") == config
    assert view.configs.stamps("m") == {"a000": ("A000", config.revision, config.updated_at)}
    assert view.configs.history("m", "A000") == (revision,)
    assert [model.name for model in view.models()] == ["m"]


def test_versions_come_back_equal_beside_groups_and_alone(open_store: Callable[[], RegistryStore]) -> None:
    for count in (3, 0):
        scan = make_scan(count, versions=40)
        with open_store().transaction() as transaction:
            transaction.save_model(MODEL)
            transaction.save_scan("m", scan)
        view = open_store().view()
        assert view.scan("m") == scan
        assert list(view.scan("m").versions) == sorted(scan.versions)
        assert view.scan_summary("m") == scan.summary()
        assert (view.scan_summary("m").groups, view.scan_summary("m").versions) == (count, 41)


def test_versions_that_changed_or_vanished_are_replaced(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    scan = make_scan(2, versions=100)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", scan)
    versions = {path: version for path, version in scan.versions.items() if path != "m/v1.7.0"}
    versions["m/v1.9.0"] = make_version("m/v1.9.0", read_at="later")
    versions["m/v2.0.0"] = make_version("m/v2.0.0")
    changed = replace(scan, scanned_at="2024-01-03", versions=dict(sorted(versions.items())))
    with open_store().transaction() as transaction:
        transaction.save_scan("m", changed)
    assert store.view().scan("m") == open_store().view().scan("m") == changed
    assert [kept.scanned_at for kept in store.view().models()[0].earlier_scans] == ["2024-01-02"]


def test_a_file_of_a_version_that_is_not_read_makes_no_other_scan(open_store: Callable[[], RegistryStore]) -> None:
    scan = make_scan(1, versions=2)
    log = ModelFile(FileRole.OTHER, "m/v1.0.0/training.log", 7, 1, 2, 3)
    version = scan.versions["m/v1.0.0"]
    grown = replace(scan, versions={**scan.versions, version.path: replace(version, files=(*version.files, log))})
    for each in (scan, grown):
        with open_store().transaction() as transaction:
            transaction.save_model(MODEL)
            transaction.save_scan("m", each)
    view = open_store().view()
    assert view.scan("m") == grown
    assert view.models()[0].earlier_scans == ()


def test_latest_that_moved_makes_another_scan(store: RegistryStore) -> None:
    scan = make_scan(0, versions=2)
    for latest in ({"models": "models/20250724_150837"}, {}):
        with store.transaction() as transaction:
            transaction.save_model(MODEL)
            transaction.save_scan("m", replace(scan, latest=latest))
    view = store.view()
    assert view.scan("m").latest == {}
    (kept,) = view.models()[0].earlier_scans
    assert view.earlier_scan("m", kept.scan_id) == scan


def test_a_view_shows_its_own_revision_for_ever(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(2))
    before = store.view()
    with store.transaction() as transaction:
        transaction.save_scan("m", make_scan(5))
        transaction.configs.save(*record(1, 9.0))
    assert (before.revision, len(before.scan("m").groups), before.configs.record("m", "A000")) == (1, 2, None)
    assert (store.view().revision, len(store.view().scan("m").groups)) == (2, 5)


def test_a_transaction_sees_its_own_writes(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(2))
        transaction.configs.save(*record(1, 9.0))
        assert transaction.model("m") is not None
        assert len(transaction.scan("m").groups) == 2
        assert transaction.configs.record("m", "a000").revision == 1
        assert len(transaction.configs.history("m", "A000")) == 1


def test_an_exception_in_a_transaction_writes_nothing(store: RegistryStore) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan())
        raise ZeroDivisionError
    assert (store.view().revision, store.view().models()) == (0, ())


def test_a_transaction_without_a_change_keeps_the_revision(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
    assert store.view().revision == 1


def test_deleting_a_model_deletes_all_that_belongs_to_it(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    other = replace(MODEL, name="n")
    with store.transaction() as transaction:
        for model in (MODEL, other):
            transaction.save_model(model)
            transaction.save_scan(model.name, make_scan())
        transaction.configs.save(*record(1, 9.0))
    with store.transaction() as transaction:
        transaction.delete_model("m", "2026")
        assert transaction.configs.record("m", "A000") is None
    view = open_store().view()
    assert [model.name for model in view.models()] == ["n"]
    assert (view.configs.stamps("m"), view.configs.history("m", "A000"), view.scan("m")) == ({}, (), None)
    assert view.scan("n") == make_scan()


def test_a_model_registered_again_after_its_deletion_starts_anew(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan())
        transaction.configs.save(*record(1, 9.0))
    with store.transaction() as transaction:
        transaction.delete_model("m", "2026")
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(1))
    view = store.view()
    assert (len(view.scan("m").groups), view.configs.record("m", "A000")) == (1, None)


def test_deletions_are_remembered_the_last_hundred_of_them(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    assert store.view().deleted_models() == ()
    for number in range(101):
        with store.transaction() as transaction:
            transaction.save_model(MODEL)
        with store.transaction() as transaction:
            transaction.delete_model("m", f"2026-{number}")
            assert transaction.deleted_models()[-1] == DeletedModel("m", f"2026-{number}")
    assert [at for _, at in open_store().view().deleted_models()] == [f"2026-{number}" for number in range(1, 101)]


def test_deleting_what_is_not_registered_is_no_change(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.delete_model("m", "2026")
    assert (store.view().revision, store.view().deleted_models()) == (0, ())


def test_a_model_that_came_and_went_in_one_transaction_was_deleted(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.delete_model("m", "2026")
    assert (store.view().models(), store.view().deleted_models()) == ((), (DeletedModel("m", "2026"),))


def test_the_figures_of_a_scan_are_those_of_its_groups(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    assert store.view().scan_summary("m") is None
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        assert transaction.scan_summary("m") is None
        transaction.save_scan("m", make_scan(3))
        assert transaction.scan_summary("m") == make_scan(3).summary()
    summary = open_store().view().scan_summary("m")
    assert (summary.groups, dict(summary.findings)) == (3, {Severity.INFO: 1, Severity.WARNING: 3})
    with store.transaction() as transaction:
        transaction.delete_model("m", "2026")
    assert open_store().view().scan_summary("m") is None


def test_a_view_tells_which_configs_changed_since_another(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    views = [store.view()]
    for number, symbols in enumerate((["A000", "B000"], ["b000"], []), 1):
        with store.transaction() as transaction:
            transaction.save_model(replace(MODEL, updated_at=str(number)))
            for symbol in symbols:
                config, revision = record(number, float(number))
                transaction.configs.save(replace(config, subject=symbol), revision)
        views.append(open_store().view())
    assert views[1].configs.since("m", views[0].configs) == {"a000", "b000"}
    assert views[2].configs.since("m", views[1].configs) == {"b000"}
    assert views[3].configs.since("m", views[2].configs) == frozenset()
    assert views[3].configs.since("m", views[0].configs) == {"a000", "b000"}
    assert views[3].configs.since("nobody", views[0].configs) == frozenset()
    with store.transaction() as transaction:
        transaction.configs.save(*record(4, 4.0))
        assert transaction.configs.since("m", views[2].configs) == {"a000"}
        transaction.delete_model("m", "2026")
        assert transaction.configs.since("m", views[2].configs) is None
    assert store.view().configs.since("m", views[3].configs) in (None, {"a000", "b000"}), "their shards may be gone"


def test_a_scan_needs_a_registration(store: RegistryStore) -> None:
    with pytest.raises(ModelNotFound), store.transaction() as transaction:
        transaction.save_scan("m", make_scan())


def test_a_second_writer_waits_and_is_told_when_it_takes_too_long(
    open_store: Callable[[], RegistryStore], store: RegistryStore
) -> None:
    for other in (store, open_store()):
        failed: list[StoreBusy] = []

        def write(other: RegistryStore = other, failed: list[StoreBusy] = failed) -> None:
            try:
                with other.transaction():
                    pytest.fail("two writers at once")
            except StoreBusy as error:
                failed.append(error)

        with store.transaction():
            thread = threading.Thread(target=write)
            began = time.monotonic()
            thread.start()
            thread.join()
            assert time.monotonic() - began >= LOCK_SECONDS
        assert "try again" in failed[0].detail


def test_groups_that_changed_or_vanished_are_replaced(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    scan = make_scan(200)
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", scan)
    groups = {key: group for key, group in scan.groups.items() if key != "A007_r"}
    groups["A009_r"] = make_group("A009_r", read_at="later")
    groups["B_r"] = make_group("B_r")
    changed = Scan("2024-01-03", dict(sorted(groups.items())))
    with open_store().transaction() as transaction:
        transaction.save_scan("m", changed)
    assert store.view().scan("m") == changed
    assert open_store().view().scan("m") == changed


def test_a_replaced_scan_is_kept_where_it_had_found_something_else(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(1))
    for scan in (replace(make_scan(1), scanned_at="2024-01-03"), make_scan(2), make_scan(3)):
        with store.transaction() as transaction:
            transaction.save_scan("m", scan)
    view = open_store().view()
    kept = view.models()[0].earlier_scans
    assert [scan.scanned_at for scan in kept] == ["2024-01-03", "2024-01-02"]
    assert [view.earlier_scan("m", scan.scan_id) for scan in kept] == [
        replace(make_scan(1), scanned_at="2024-01-03"),
        make_scan(2),
    ]
    assert view.scan("m") == make_scan(3)
    assert view.earlier_scan("m", "unknown") is None
    assert view.earlier_scan("unknown", kept[0].scan_id) is None


def test_models_of_a_scan_and_of_the_kept_earlier_ones_are_told(open_store: Callable[[], RegistryStore]) -> None:
    def scan_with(key: str, sha256: str, onnx_sha256: str | None) -> Scan:
        group = make_group(key, read_at=sha256)
        assert group.model is not None
        model = replace(group.model, sha256=sha256)
        return Scan("2024-01-02", {key: replace(group, model=model, onnx_sha256=onnx_sha256)})

    store = open_store()
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", scan_with("A_r", "0" * 64, "f" * 64))
    for number in range(1, 12):
        with store.transaction() as transaction:
            transaction.save_scan("m", scan_with("A_r", f"{number:064x}", None))
    expected = frozenset(f"{number:064x}" for number in range(1, 12))
    assert store.view().kept_digests("m") == open_store().view().kept_digests("m") == expected
    assert store.view().kept_digests("unknown") == frozenset()
    with store.transaction() as transaction:
        transaction.save_scan("m", make_scan(0, versions=3))
    versions = {f"{number:064x}" for number in range(3)}
    assert (
        store.view().kept_digests("m") == open_store().view().kept_digests("m") == expected - {f"{1:064x}"} | versions
    )


def test_the_last_ten_replaced_scans_are_kept(store: RegistryStore) -> None:
    for count in range(1, 14):
        with store.transaction() as transaction:
            if count == 1:
                transaction.save_model(MODEL)
            transaction.save_model(replace(MODEL, updated_at=str(count)))
            transaction.save_scan("m", make_scan(count))
    view = store.view()
    scans = [view.earlier_scan("m", scan.scan_id) for scan in view.models()[0].earlier_scans]
    assert [len(scan.groups) for scan in scans if scan is not None] == list(range(3, 13))


def test_an_empty_store_has_a_stamp_that_its_first_commit_changes(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    empty = store.stamp()
    assert empty == store.stamp() == open_store().stamp()
    with open_store().transaction() as transaction:
        transaction.save_model(MODEL)
    assert store.stamp() != empty


def test_the_stamp_differs_after_every_commit_of_any_process(open_store: Callable[[], RegistryStore]) -> None:
    stores = [open_store() for _ in range(3)]
    seen = {stores[0].stamp()}
    for number in range(60):
        with stores[number % 3].transaction() as transaction:
            transaction.save_model(replace(MODEL, updated_at=f"{number:04}"))  # a state of the same size each time
        (stamp,) = {store.stamp() for store in stores}
        assert stamp not in seen
        seen.add(stamp)


def test_the_stamp_stays_where_nothing_is_committed(open_store: Callable[[], RegistryStore]) -> None:
    store, other = open_store(), open_store()
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.save_scan("m", make_scan(1))
    before = other.stamp()
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
    with pytest.raises(ZeroDivisionError), other.transaction() as transaction:
        transaction.configs.save(*record(1, 9.0))
        raise ZeroDivisionError
    with store.transaction() as transaction:
        transaction.save_model(replace(MODEL, updated_at="later"))
        assert other.stamp() == before, "nothing is committed yet"
    after = other.stamp()
    store.view().scan("m")
    assert store.problems() == ()
    assert before != after == store.stamp() == other.stamp() == open_store().stamp()


def test_the_stamp_of_a_config_is_its_revision_and_time(open_store: Callable[[], RegistryStore]) -> None:
    store = open_store()
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.configs.save(*record(1, 9.0))
    before = store.view()
    with open_store().transaction() as transaction:
        transaction.configs.save(replace(record(2, 8.0)[0], updated_at="2026"), record(2, 8.0)[1])
    assert before.configs.stamp("m", "A000") == ("A000", 1, "2025")
    for view in (store.view(), open_store().view()):
        assert view.configs.stamp("m", "A000") == view.configs.stamp("m", "a000") == ("A000", 2, "2026")
        assert view.configs.stamp("m", "A001") is None
        assert view.configs.stamp("n", "A000") is None


def test_the_stamp_of_a_config_in_a_transaction_is_that_of_its_own_writes(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        assert transaction.configs.stamp("m", "A000") is None
        transaction.configs.save(*record(1, 9.0))
        assert transaction.configs.stamp("m", "a000") == ("A000", 1, "2025")
    with store.transaction() as transaction:
        assert transaction.configs.stamp("m", "A000") == ("A000", 1, "2025")
        transaction.configs.save(*record(2, 8.0))
        assert transaction.configs.stamp("m", "A000") == ("A000", 2, "2025")
        assert store.view().configs.stamp("m", "A000") == ("A000", 1, "2025")
    assert store.view().configs.stamp("m", "A000") == ("A000", 2, "2025")


def test_a_deleted_model_has_no_stamp_of_a_config(store: RegistryStore) -> None:
    with store.transaction() as transaction:
        transaction.save_model(MODEL)
        transaction.configs.save(*record(1, 9.0))
    with store.transaction() as transaction:
        transaction.configs.save(*record(2, 8.0))
        transaction.delete_model("m", "2026")
        assert transaction.configs.stamp("m", "A000") is None
        transaction.save_model(MODEL)
        assert transaction.configs.stamp("m", "A000") is None
        transaction.configs.save(*record(1, 7.0))
        assert transaction.configs.stamp("m", "A000") == ("A000", 1, "2025")
    with store.transaction() as transaction:
        transaction.delete_model("m", "2026")
    assert store.view().configs.stamp("m", "A000") is None
