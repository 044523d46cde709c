"""What people set for versions: shown, saved, restored, followed by whatever predicts, and never written to a root."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm
import pytest

from mm_core.domain.configs import FILES_DIGEST, FactorConfigRecord, FactorConfigRevision, Normalization
from mm_core.domain.lifecycle import Status
from mm_core.domain.verification import CheckName, Outcome
from mm_core.errors import (
    AlreadyExists,
    BackupRefused,
    CannotPredict,
    InvalidFactorConfig,
    InvalidName,
    RevisionConflict,
    RevisionNotFound,
    StoreCorrupt,
    VersionNotFound,
)
from mm_core.payloads import Coding
from mm_core.registry import Registry
from mm_core.registry.lifecycle import Lifecycle
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import FEATURES, WriteVersion, lightgbm_booster, metadata, write_version
from tests.registry.test_backups import Members, _last, _rewritten, _swapped
from tests.registry.test_lifecycle import ANN, NAME, Make, lifecycle, make

__all__ = ["lifecycle", "lightgbm_booster", "make", "write_version"]

V = "v1.1.0"
Digest = Callable[[Path], str]


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    """A registry whose predictors leave nothing behind."""
    registry = open_registry(settings)
    yield registry
    registry.predictions.close()
    registry.verifier.close()


@pytest.fixture
def root(registry: Registry, write_version: WriteVersion) -> Path:
    """A registered root with v1.1.0: every mean 0.5, every std 2."""
    found = write_version()
    registry.registrations.register("models", str(found))
    return found


def _document(version: str = V, **changed: tuple[float, float]) -> dict[str, Any]:
    values = {name: changed.get(name, (0.5, 4.0)) for name in FEATURES}
    return {
        version: {
            "factor_names": list(FEATURES),
            "mean_values": [mean for mean, _ in values.values()],
            "variance_values": [variance for _, variance in values.values()],
        }
    }


def _payload(registry: Registry, name: str = NAME, version: str = V) -> dict[str, Any]:
    handle = registry.version_payloads.handle(name, version)
    body: dict[str, Any] = json.loads(registry.version_payloads.body(handle, Coding.IDENTITY))
    return dict(body["payload"])


def _said(registry: Registry) -> tuple[int, list[str], list[float], list[float]]:
    payload = _payload(registry)
    metadata, normalizer = payload["metadata"], payload["normalizer"]
    return metadata["normalizer_revision"], metadata["normalizer_overridden"], normalizer["mean"], normalizer["std"]


def test_what_files_say_is_shown_as_mean_and_std_squared(registry: Registry, root: Path) -> None:
    current = registry.normalizers.get(NAME, "1.1.0")
    assert (current.config.subject, current.config.factor_names) == (V, FEATURES)
    assert (current.config.mean_values, current.config.variance_values) == ((0.5,) * 4, (4.0,) * 4)
    assert (current.record.revision, registry.normalizers.history(NAME, V)) == (0, ())
    assert _said(registry) == (0, [], [0.5] * 4, [2.0] * 4)


def test_what_is_set_is_in_the_payload_and_nothing_below_the_root_changes(
    registry: Registry, root: Path, tree_digest: Digest
) -> None:
    before, first = tree_digest(root), registry.version_payloads.handle(NAME, V)
    saved = registry.normalizers.save(NAME, V, _document(spread=(7.0, 6.25)), by="api", note="drift")
    assert (saved.record.revision, dict(saved.record.values)) == (1, {"spread": (7.0, 6.25)})
    assert _said(registry) == (1, ["spread"], [0.5, 0.5, 7.0, 0.5], [2.0, 2.0, 2.5, 2.0])
    assert registry.version_payloads.handle(NAME, V).digest != first.digest
    assert tree_digest(root) == before
    (revision,) = registry.normalizers.history(NAME, V)
    assert (revision.by, revision.action, revision.note) == ("api", "edit", "drift")
    assert {name: tuple(change) for name, change in revision.changes.items()} == {"spread": (None, (7.0, 6.25))}


def test_a_body_that_is_pulled_while_somebody_saves_is_of_one_revision_whole(registry: Registry, root: Path) -> None:
    handle = registry.version_payloads.handle(NAME, V)
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    old = json.loads(registry.version_payloads.body(handle, Coding.IDENTITY))["payload"]
    assert (old["metadata"]["normalizer_revision"], old["normalizer"]["mean"][2]) == (0, 0.5)
    assert _said(registry)[:2] == (1, ["spread"])


def test_saving_what_the_files_say_takes_what_was_set_away_again(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    saved = registry.normalizers.save(NAME, V, _document(), by="api")
    assert (saved.record.revision, dict(saved.record.values)) == (2, {})
    assert _said(registry) == (2, [], [0.5] * 4, [2.0] * 4)
    assert registry.normalizers.save(NAME, V, _document(), by="api").record.revision == 2, "no change, no revision"


def test_every_revision_can_be_looked_at_and_restored_and_so_can_the_files(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    registry.normalizers.save(NAME, V, _document(volume=(8.0, 1.0)), by="cli")
    assert registry.normalizers.at_revision(NAME, V, 1).mean_values == (0.5, 0.5, 7.0, 0.5)
    assert registry.normalizers.at_revision(NAME, V, 0).mean_values == (0.5,) * 4
    registry.normalizers.restore(NAME, V, 1, by="dashboard")
    assert _said(registry) == (3, ["spread"], [0.5, 0.5, 7.0, 0.5], [2.0] * 4)
    registry.normalizers.restore(NAME, V, 0, by="dashboard")
    assert _said(registry) == (4, [], [0.5] * 4, [2.0] * 4)
    notes = [(one.action, one.note) for one in registry.normalizers.history(NAME, V)]
    assert notes[2:] == [("restore", "restored revision 1"), ("restore", "restored what the files say")]
    with pytest.raises(RevisionNotFound):
        registry.normalizers.restore(NAME, V, 9, by="cli")


def test_symbols_have_no_revision_0_to_restore(registered: Registry) -> None:
    with pytest.raises(RevisionNotFound):
        registered.configs.restore("m", "SOLUSDT", 0, by="cli")


def test_a_change_on_another_revision_is_refused_and_nothing_is_stored(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api", expected_revision=0)
    with pytest.raises(RevisionConflict, match=f"The normalizer of {NAME} {V} is at revision 1"):
        registry.normalizers.save(NAME, V, _document(spread=(8.0, 4.0)), by="api", expected_revision=0)
    with pytest.raises(RevisionConflict):
        registry.normalizers.restore(NAME, V, 0, by="api", expected_revision=0)
    assert _said(registry)[0] == 1


def _read(registry: Registry, **changed: tuple[float, float]) -> dict[str, Any]:
    """Return a document that says what it was read from, with some of its numbers changed."""
    document = _document(**changed)
    document[V][FILES_DIGEST] = registry.normalizers.get(NAME, V).config.defaults.digest
    return document


def test_a_document_that_was_read_before_the_files_were_replaced_is_refused(registry: Registry, root: Path) -> None:
    document = _read(registry, spread=(7.0, 4.0))
    _trained_anew(root)
    registry.registrations.refresh("models")
    with pytest.raises(RevisionConflict, match=r"its files were replaced since.*'files_digest'.*nothing was stored"):
        registry.normalizers.save(NAME, V, document, by="cli", expected_revision=0)
    assert _said(registry) == (0, [], [1.5] * 4, [0.1] * 4)


def test_a_change_that_was_made_on_other_files_is_refused_whatever_its_document_says(
    registry: Registry, root: Path
) -> None:
    seen = registry.normalizers.get(NAME, V).config.defaults
    _trained_anew(root)
    registry.registrations.refresh("models")
    with pytest.raises(RevisionConflict, match="its files were replaced since"):
        registry.normalizers.save(NAME, V, _document(), by="dashboard", expected_files=seen.digest)
    assert registry.normalizers.get(NAME, V).record.revision == 0


def test_a_document_that_no_longer_fits_the_features_of_the_files_it_was_read_from_is_a_conflict(
    registry: Registry, root: Path
) -> None:
    document = _read(registry)
    (root / NAME / V / "model.txt").unlink()
    _trained_anew(root, without="spread")
    registry.registrations.refresh("models")
    with pytest.raises(RevisionConflict):
        registry.normalizers.save(NAME, V, document, by="cli")


def test_a_document_is_taken_again_and_again_while_the_files_are_those_it_was_read_from(
    registry: Registry, root: Path
) -> None:
    document = _read(registry, spread=(7.0, 4.0))
    (root / NAME / V / "normalizer.json").touch()
    registry.registrations.refresh("models")
    for mean in (8.0, 9.0):
        document[V]["mean_values"][2] = mean
        registry.normalizers.save(NAME, V, document, by="cli")
    assert _said(registry)[:3] == (2, ["spread"], [0.5, 0.5, 9.0, 0.5])


def test_a_document_that_does_not_say_what_it_was_read_from_is_guarded_by_the_revision_alone(
    registry: Registry, root: Path
) -> None:
    _trained_anew(root)
    registry.registrations.refresh("models")
    assert registry.normalizers.save(NAME, V, _document(), by="cli", expected_revision=0).record.revision == 1


def test_what_a_document_was_read_from_is_text_and_symbols_have_no_such_field(
    registered: Registry, registry: Registry, root: Path
) -> None:
    with pytest.raises(InvalidFactorConfig, match="files_digest must be text"):
        registry.normalizers.save(NAME, V, {V: {**_document()[V], FILES_DIGEST: 7}}, by="cli")
    with pytest.raises(InvalidFactorConfig, match="'files_digest' is not a known field"):
        config = {"mean_values": [1, 2, 3], "variance_values": [1, 2, 3], FILES_DIGEST: "x"}
        registered.configs.save("m", "SOLUSDT", {"SOLUSDT": config}, by="cli")


def test_a_document_with_problems_is_refused_with_all_of_them(registry: Registry, root: Path) -> None:
    with pytest.raises(InvalidFactorConfig) as raised:
        registry.normalizers.save(NAME, V, _document(spread=(float("nan"), 0.0)), by="api")
    assert raised.value.problems == (
        "mean_values[2] (spread) is nan, not a finite number",
        "variance_values[2] (spread) is 0.0, a variance must be at least 1e-24, or 4.0 as the files have it",
    )
    with pytest.raises(InvalidFactorConfig):
        registry.normalizers.save(NAME, V, _document("v9.9.9"), by="api")
    assert registry.normalizers.get(NAME, V).record.revision == 0


def test_what_no_root_holds_or_no_bot_can_be_given_is_told(
    registry: Registry, root: Path, write_version: WriteVersion
) -> None:
    write_version("v1.2.0", normalizer_json="{")
    registry.registrations.refresh("models")
    with pytest.raises(VersionNotFound):
        registry.normalizers.get(NAME, "v7.0.0")
    with pytest.raises(CannotPredict, match="has no normalizer that can be edited"):
        registry.normalizers.get(NAME, "v1.2.0")


def test_versions_of_one_family_have_each_their_own(
    registry: Registry, root: Path, write_version: WriteVersion
) -> None:
    write_version("v1.2.0", metadata_json=metadata("v1.2.0"))
    registry.registrations.refresh("models")
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    assert _payload(registry, version="v1.2.0")["metadata"]["normalizer_revision"] == 0


def test_what_was_set_stays_with_a_family_that_gets_another_name(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    registry.lifecycle.register(
        {
            "model_name": "late-signal", "model_version": "v9.0.0", "model_type": "lightgbm",
            "objective": "direction_classification", "target_variable": "x", "prediction_horizon": "1w",
        },
        ANN,
    )  # fmt: skip
    registry.lifecycle.set_alias("late-signal", NAME, ANN)
    assert _payload(registry, "late-signal")["metadata"]["normalizer_overridden"] == ["spread"]
    saved = registry.normalizers.save("late-signal", V, _document(spread=(8.0, 4.0)), by="api")
    assert (saved.record.revision, len(registry.normalizers.history("late-signal", V))) == (2, 2)
    assert _said(registry)[2][2] == 8.0


def test_a_name_under_which_numbers_are_set_is_not_given_to_a_family_that_has_set_others(
    registry: Registry, root: Path, write_version: WriteVersion, make: Make, lifecycle: Lifecycle
) -> None:
    make("v9.0.0", model_name="late-signal")
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    (root / NAME).rename(root / "late-signal")
    registry.registrations.refresh("models")
    registry.normalizers.save("late-signal", V, _document(spread=(9.0, 4.0)), by="api")
    (root / "late-signal").rename(root / NAME)
    registry.registrations.refresh("models")
    before = registry.view().revision, _said(registry)
    with pytest.raises(AlreadyExists) as raised:
        lifecycle.set_alias("late-signal", NAME, ANN)
    assert raised.value.existing == {"model_name": "late-signal", "model_version": V}
    for part in (f"under 'late-signal' and under '{NAME}'", f"normalizer restore {NAME} {V} 0", "nothing was changed"):
        assert part in raised.value.detail
    assert (registry.view().revision, _said(registry)) == before
    registry.normalizers.restore(NAME, V, 0, by="cli")
    assert lifecycle.set_alias("late-signal", NAME, ANN).aliases == (NAME,)
    assert _said(registry)[2] == [0.5, 0.5, 9.0, 0.5]


def test_numbers_of_features_that_a_version_lost_keep_no_name_from_its_family(
    registry: Registry, root: Path, write_version: WriteVersion, make: Make, lifecycle: Lifecycle
) -> None:
    make("v9.0.0", model_name="late-signal")
    with registry.store.transaction() as transaction:
        for name, feature in (("late-signal", FEATURES[0]), (NAME, "lost")):
            record = FactorConfigRecord(name, V, 1, "2026", "2026", {feature: Normalization(1.0, 2.0)})
            transaction.normalizers.save(record, FactorConfigRevision(1, "2026", "cli", "edit"))
    assert lifecycle.set_alias("late-signal", NAME, ANN).aliases == (NAME,)


def test_what_is_set_for_a_version_that_no_root_holds_counts_as_well(
    registry: Registry, make: Make, lifecycle: Lifecycle
) -> None:
    make("v9.0.0", model_name="late-signal")
    with registry.store.transaction() as transaction:
        for name in ("late-signal", NAME):
            record = FactorConfigRecord(name, V, 1, "2026", "2026", {FEATURES[0]: Normalization(1.0, 2.0)})
            transaction.normalizers.save(record, FactorConfigRevision(1, "2026", "cli", "edit"))
    with pytest.raises(AlreadyExists):
        lifecycle.set_alias("late-signal", NAME, ANN)


def test_what_was_set_outlives_the_registration_and_comes_back_with_it(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api", note="kept")
    registry.registrations.delete("models")
    with pytest.raises(VersionNotFound):
        registry.normalizers.get(NAME, V)
    registry.registrations.register("other", str(root))
    assert _said(registry)[:2] == (1, ["spread"])
    assert registry.normalizers.history(NAME, V)[0].note == "kept"


def test_a_revision_with_numbers_of_files_that_were_replaced_is_not_restored_over_the_new_ones(
    registry: Registry, root: Path
) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    new = {name: {"mean": 1.5, "std": 0.1} for name in FEATURES}
    (root / NAME / V / "normalizer.json").write_text(json.dumps(new))
    registry.registrations.refresh("models")
    carried = _said(registry)
    assert carried == (2, ["spread"], [1.5, 1.5, 7.0, 1.5], [0.1] * 4)
    with pytest.raises(RevisionConflict, match="revision 1 has numbers of files that were replaced since"):
        registry.normalizers.restore(NAME, V, 1, by="dashboard")
    assert _said(registry) == carried
    registry.normalizers.restore(NAME, V, 0, by="cli")
    assert _said(registry) == (3, [], [1.5] * 4, [0.1] * 4)
    registry.normalizers.restore(NAME, V, 2, by="cli")
    assert _said(registry) == (4, *carried[1:]), "the carried numbers are of the files that are there"


def test_files_that_are_replaced_carry_what_nobody_changed_and_history_says_so(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0), volume=(0.5, 9.0)), by="api")
    new = {name: {"mean": 1.5, "std": 0.1} for name in FEATURES}
    (root / NAME / V / "normalizer.json").write_text(json.dumps(new))
    registry.registrations.refresh("models")
    assert _said(registry) == (2, ["spread", "volume"], [1.5, 1.5, 7.0, 1.5], [0.1, 0.1, 0.1, 3.0])
    carried = registry.normalizers.history(NAME, V)[-1]
    assert (carried.by, carried.action, sorted(carried.changes)) == ("scan", "carry", ["spread", "volume"])
    registry.registrations.refresh("models")
    assert registry.normalizers.get(NAME, V).record.revision == 2


def _trained_anew(root: Path, mean: float = 1.5, std: float = 0.1, without: str = "") -> None:
    new = {name: {"mean": mean, "std": std} for name in FEATURES if name != without}
    (root / NAME / V / "normalizer.json").write_text(json.dumps(new))


def _normalizer_is_gone_for_a_scan(registry: Registry, root: Path, settings: Settings) -> None:
    (root / NAME / V / "normalizer.json").unlink()
    registry.registrations.refresh("models")
    _trained_anew(root)
    registry.registrations.refresh("models")


def _directory_is_gone_for_a_scan(registry: Registry, root: Path, settings: Settings) -> None:
    aside = (root / NAME).rename(root.parent / "aside")
    registry.registrations.refresh("models")
    aside.rename(root / NAME)
    _trained_anew(root)
    registry.registrations.refresh("models")


def _registered_again(registry: Registry, root: Path, settings: Settings) -> None:
    registry.registrations.delete("models")
    _trained_anew(root)
    registry.registrations.register("models", str(root))


def _registered_under_another_name(registry: Registry, root: Path, settings: Settings) -> None:
    registry.registrations.delete("models")
    _trained_anew(root)
    registry.registrations.register("others", str(root))


def _another_root_under_the_name(registry: Registry, root: Path, settings: Settings) -> None:
    other = shutil.copytree(root, root.parent / "other" / "below")
    _trained_anew(other)
    registry.registrations.register("models", str(other.parent))


def _scan_is_lost(registry: Registry, root: Path, settings: Settings) -> None:
    shutil.rmtree(settings.data_dir / "scans")
    _trained_anew(root)
    assert open_registry(settings).registrations.restore_missing_scans() == ()


GAPS = (
    _normalizer_is_gone_for_a_scan,
    _directory_is_gone_for_a_scan,
    _registered_again,
    _registered_under_another_name,
    _another_root_under_the_name,
    _scan_is_lost,
)


@pytest.mark.parametrize("replace_files", GAPS, ids=lambda each: each.__name__.strip("_"))
def test_what_nobody_changed_follows_files_that_come_back_as_other_ones(
    registry: Registry, root: Path, settings: Settings, replace_files: Callable[[Registry, Path, Settings], None]
) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0), volume=(0.5, 9.0)), by="api")
    replace_files(registry, root, settings)
    assert _said(registry) == (2, ["spread", "volume"], [1.5, 1.5, 7.0, 1.5], [0.1, 0.1, 0.1, 3.0])
    carried = registry.normalizers.history(NAME, V)[-1]
    assert (carried.by, carried.action) == ("scan", "carry")
    variance = 0.1 * 0.1
    assert {name: tuple(change) for name, change in carried.changes.items()} == {
        "spread": ((7.0, 4.0), (7.0, variance)), "volume": ((0.5, 9.0), (1.5, 9.0))
    }  # fmt: skip


def test_files_that_come_back_as_they_were_are_no_revision(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    registry.registrations.delete("models")
    registry.registrations.register("models", str(root))
    assert _said(registry) == (1, ["spread"], [0.5, 0.5, 7.0, 0.5], [2.0] * 4)


def test_what_somebody_set_stays_where_files_say_it_for_a_while(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 9.0)), by="api")
    for mean in (7.0, 1.5):
        _trained_anew(root, mean)
        registry.registrations.refresh("models")
    assert _said(registry) == (1, ["spread"], [1.5, 1.5, 7.0, 1.5], [0.1, 0.1, 3.0, 0.1])


def test_a_number_that_is_saved_again_as_it_is_goes_on_following_the_files(
    registry: Registry, root: Path, settings: Settings
) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0), volume=(8.0, 4.0)), by="api")
    _directory_is_gone_for_a_scan(registry, root, settings)
    assert _said(registry) == (3, ["spread", "volume"], [1.5, 1.5, 7.0, 8.0], [0.1] * 4)


def test_features_that_a_gap_took_away_or_brought_back_are_in_the_history(registry: Registry, root: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    (root / NAME / V / "model.txt").unlink()  # which would not fit
    for without in ("spread", ""):
        (root / NAME / V / "normalizer.json").unlink()
        registry.registrations.refresh("models")
        _trained_anew(root, without=without)
        registry.registrations.refresh("models")
    _, gone, back = registry.normalizers.history(NAME, V)
    assert (gone.action, gone.added, gone.dropped, dict(gone.changes)) == ("carry", (), ("spread",), {})
    assert (back.action, back.added, back.dropped, list(back.changes)) == ("carry", ("spread",), (), ["spread"])
    assert registry.normalizers.get(NAME, V).config.normalizations()["spread"] == (7.0, 0.1 * 0.1)


def test_a_copy_in_another_root_takes_nothing_from_what_is_set(registry: Registry, root: Path, tmp_path: Path) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    shutil.copytree(root, tmp_path / "copy")
    _trained_anew(tmp_path / "copy", 7.0)
    registry.registrations.register("copy", str(tmp_path / "copy"))
    registry.registrations.delete("copy")
    assert _said(registry)[1:] == (["spread"], [0.5, 0.5, 7.0, 0.5], [2.0] * 4)


def test_what_is_set_over_one_name_of_a_family_is_never_of_two_trainings(
    registry: Registry, root: Path, write_version: WriteVersion, make: Make, lifecycle: Lifecycle
) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    registry.registrations.delete("models")
    make(V)
    new = {name: {"mean": 1.5, "std": 0.1} for name in FEATURES}
    other = write_version(V, "renamed", normalizer_json=new)
    shutil.rmtree(other / NAME)
    registry.registrations.register("models", str(other))
    lifecycle.set_alias(NAME, "renamed", ANN)
    assert _said(registry)[2:] == ([1.5, 1.5, 7.0, 1.5], [0.1] * 4)


def test_what_was_set_before_it_was_known_what_the_files_said_follows_them_in_one_step(
    registry: Registry, root: Path
) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    with registry.store.transaction() as transaction:
        record = transaction.normalizers.record(NAME, V)
        assert record is not None
        revision = FactorConfigRevision(2, "2026", "cli", "edit")
        transaction.normalizers.save(replace(record, revision=2, from_files=None), revision)
    _trained_anew(root)
    registry.registrations.refresh("models")
    assert _said(registry) == (3, ["spread"], [1.5, 1.5, 7.0, 1.5], [0.1] * 4)
    registry.registrations.delete("models")
    _trained_anew(root, 2.5, 0.2)
    registry.registrations.register("models", str(root))
    assert _said(registry) == (4, ["spread"], [2.5, 2.5, 7.0, 2.5], [0.2] * 4)


@pytest.mark.parametrize("damaged", [f"lifecycle/{NAME}/current/index-*", f"normalizers/{NAME}/revisions/*/*"])
def test_damage_of_what_people_entered_keeps_no_root_from_being_registered(
    registry: Registry, root: Path, settings: Settings, make: Make, damaged: str
) -> None:
    make(V)
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    registry.registrations.delete("models")
    (path,) = settings.data_dir.glob(damaged)
    path.write_bytes(b"{")
    registry = open_registry(settings)
    assert registry.registrations.register("models", str(root)).scan.versions
    with pytest.raises(StoreCorrupt):
        registry.version_payloads.handle(NAME, V)


def test_a_family_whose_directory_no_file_can_be_called_after_is_shown_and_not_changed(
    registry: Registry, write_version: WriteVersion
) -> None:
    registry.registrations.register("odd", str(write_version(V, "früh signal")))
    assert registry.normalizers.get("odd", V).config.mean_values == (0.5,) * 4
    with pytest.raises(InvalidName, match="Rename its directory"):
        registry.normalizers.save("odd", V, _document(spread=(7.0, 4.0)), by="api")


@pytest.mark.parametrize("status", [Status.DEPLOYED, Status.SHADOW])
def test_predictions_of_versions_that_run_use_what_is_set(
    registry: Registry, root: Path, make: Make, lightgbm_booster: lightgbm.Booster, status: Status
) -> None:
    make(V, status)
    row = dict.fromkeys(FEATURES, 1.25)
    registry.normalizers.save(NAME, V, _document(spread=(-7.0, 0.25), momentum_5d=(3.0, 1.0)), by="api")
    found = registry.predictions.predict(NAME, V, json.dumps([row]).encode())
    scores = [[(1.25 - 3.0) / 1.0, 0.375, (1.25 + 7.0) / 0.5, 0.375]]
    (expected,) = lightgbm_booster.predict(scores)
    assert list(found.answer.predictions[0].probabilities.values()) == pytest.approx(list(expected), abs=1e-12)
    (files_alone,) = lightgbm_booster.predict([[0.375] * 4])
    assert list(files_alone) != pytest.approx(list(expected), abs=1e-6)


def test_verification_predicts_with_what_is_set(
    registry: Registry, root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(V, Status.DEPLOYED)
    registry.normalizers.save(NAME, V, _document(spread=(-7.0, 0.25)), by="api")
    asked: list[Any] = []
    predict = registry.verifier._predictor.predict

    def noted(model: Any, rows: Any) -> Any:
        asked.append((model.normalizer, rows))
        return predict(model, rows)

    monkeypatch.setattr(registry.verifier._predictor, "predict", noted)
    (one,) = registry.verifier.verify(NAME, V).versions
    check = next(check for check in one.checks if check.name is CheckName.TEST_PREDICTION)
    ((normalizer, rows),) = asked
    assert check.outcome is Outcome.PASSED
    assert (normalizer.mean, normalizer.std) == ((0.5, 0.5, -7.0, 0.5), (2.0, 2.0, 0.5, 2.0))
    assert rows == [dict(zip(FEATURES, normalizer.mean, strict=True))]


def test_a_backup_has_what_was_set_for_versions_and_it_comes_back(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api", note="first")
    registry.backups.create(tmp_path / "state.zip")
    registry.normalizers.save(NAME, V, _document(spread=(9.0, 4.0)), by="api")
    shutil.rmtree(tmp_path / "data" / "normalizers")
    registry.backups.restore(tmp_path / "state.zip")
    assert _said(registry)[2] == [0.5, 0.5, 7.0, 0.5]
    assert [one.note for one in registry.normalizers.history(NAME, V)] == ["first"]
    assert registry.store.problems() == ()


HOSTILE: dict[str, tuple[Callable[[Members, dict[str, Any]], object], str]] = {
    "a variance that none can have": (
        lambda m, _: _swapped(m, _last(m, f"normalizers/{NAME}/revisions/"), b"[7.0,4.0]", b"[7.0,-4.0]"),
        "a value that none can have",
    ),
    "numbers that nobody set in no form": (
        lambda m, _: _swapped(m, _last(m, f"normalizers/{NAME}/revisions/"), b"[false,true]", b"[true]"),
        "holds no values",
    ),
    "no revision": (lambda m, _: m.pop(_last(m, f"normalizers/{NAME}/revisions/")), "is missing"),
    "a name that leads out": (
        lambda m, _: _swapped(m, _last(m, f"normalizers/{NAME}/shards/"), b'"standing":"', b'"standing":"../../../../'),
        "has no file",
    ),
    "a file that the state does not name": (
        lambda m, _: m.update({f"normalizers/{NAME}/shards/more.json": m[_last(m, f"normalizers/{NAME}/shards/")]}),
        "names other files",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_backup_whose_normalizers_are_not_whole_is_refused_before_anything_is_touched(
    registry: Registry, root: Path, tmp_path: Path, name: str
) -> None:
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="api")
    registry.backups.create(tmp_path / "state.zip")
    change, reason = HOSTILE[name]
    _rewritten(tmp_path / "state.zip", change)  # type: ignore[arg-type]
    before = registry.view().revision
    with pytest.raises(BackupRefused, match=reason):
        registry.backups.restore(tmp_path / "state.zip")
    assert (registry.view().revision, _said(registry)[:2]) == (before, (1, ["spread"]))


def test_what_is_set_for_a_version_is_news_for_people(registry: Registry, root: Path) -> None:
    since = datetime.now(UTC)
    registry.normalizers.save(NAME, V, _document(spread=(7.0, 4.0)), by="dashboard", note="drift")
    (event,) = registry.events_since(since)
    assert (event.model_name, event.symbol) == (NAME, None)
    assert event.what == f"{V}: normalizer revision 1 by dashboard (edit: 1 factors, “drift”)."
