"""Use cases of versions: registered once, moved by the rules, asked about at any moment, by whoever may see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mm_core.domain.deployments import deployments
from mm_core.domain.lifecycle import Action, Stage, Status, Tier
from mm_core.domain.version_records import VersionRecord, replayed
from mm_core.errors import (
    AlreadyExists,
    BadRequest,
    CannotPredict,
    IllegalMove,
    InvalidName,
    InvalidNormalizer,
    InvalidVersion,
    NothingToUpdate,
    RevisionConflict,
    VersionNotFound,
)
from mm_core.registry import Registry, lifecycle_changes
from mm_core.registry.lifecycle import Lifecycle
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_lookups import SHOWN, VersionFilter, parse_moment
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version

__all__ = ["lightgbm_booster", "write_version"]

NAME = "sentiment-fusion"
FIELDS: dict[str, Any] = {
    "model_name": NAME,
    "model_version": "v1.0.0",
    "model_type": "lightgbm",
    "objective": "direction_classification",
    "target_variable": "price_direction_3d",
    "prediction_horizon": "1w",
    "validation_score": 0.538,
}
ANN = Author("ann", "figures were looked at")
Make = Callable[..., VersionRecord]


@pytest.fixture
def lifecycle(registry: Registry) -> Lifecycle:
    """Use cases on an empty registry."""
    return registry.lifecycle


@pytest.fixture
def make(lifecycle: Lifecycle) -> Make:
    """Register a version and bring it to a status by legal moves."""

    def made(version: str = "v1.0.0", status: Status = Status.TRAINING, **fields: Any) -> VersionRecord:
        record = lifecycle.register({**FIELDS, "model_version": version, **fields}, ANN).record
        if status in (Status.VALIDATED, Status.SHADOW, Status.DEPLOYED):
            record = lifecycle.move(record, Status.VALIDATED, ANN)
        return lifecycle.move(record, status, ANN) if status is not record.status else record

    return made


def _statuses(lifecycle: Lifecycle, name: str = NAME) -> dict[str, Status]:
    return {one.model_version: one.status for one in lifecycle.list(VersionFilter(model_name=name))}


def _write_version(root: Path, version: str, *, model: bool = True, name: str = NAME) -> Path:
    """Write the files of a version, which say nothing, and return their directory."""
    directory = root / name / version
    directory.mkdir(parents=True)
    for file in ("model.txt", "normalizer.json", "metadata.json")[0 if model else 1 :]:
        (directory / file).write_text("{}" if file.endswith("json") else "tree\n")
    return directory


def test_a_registration_has_every_field_and_default_of_the_guide(lifecycle: Lifecycle) -> None:
    done = lifecycle.register(FIELDS, ANN)
    record = done.record
    assert done.is_new
    assert len(record.model_id) == 36
    assert (record.model_name, record.model_version, record.status, record.tier_requirement) == (
        NAME, "v1.0.0", Status.TRAINING, Tier.PREMIUM
    )  # fmt: skip
    assert (record.validation_score, record.test_score, record.pinned) == (0.538, None, False)
    assert record.created_at == record.updated_at
    assert lifecycle.record(NAME, "1.0.0") == lifecycle.record_by_id(record.model_id) == record
    (event,) = lifecycle.history(NAME)
    assert (event.actor, event.action, event.before, event.after, event.note) == (
        "ann", Action.REGISTER, None, Status.TRAINING, ANN.note
    )  # fmt: skip


@pytest.mark.parametrize("status", [Status.DEPLOYED, Status.SHADOW])
def test_a_version_that_runs_from_its_registration_on_needs_a_reason_like_every_deployment(
    registry: Registry, lifecycle: Lifecycle, make: Make, status: Status
) -> None:
    make("v0.9.0", Status.DEPLOYED)
    before = registry.view().revision
    for update in (False, True):
        with pytest.raises(BadRequest, match=rf"v1\.0\.0 becomes {status}: a note is needed"):
            lifecycle.register({**FIELDS, "status": str(status)}, Author("ann"), update=update)
    assert registry.view().revision == before
    lifecycle.register({**FIELDS, "status": str(status)}, Author("ann", "it won in the backtest"))
    (event,) = [one for one in lifecycle.history(NAME) if one.version == "v1.0.0"]
    assert (event.actor, event.before, event.after, event.note) == ("ann", None, status, "it won in the backtest")
    if status is Status.DEPLOYED:
        assert _statuses(lifecycle) == {"v0.9.0": Status.SHADOW, "v1.0.0": Status.DEPLOYED}
        *_, first, second = deployments(lifecycle.history(NAME))
        assert (first.version, first.ended_by, first.ended_why) == (
            "v0.9.0", "ann", "v1.0.0 was deployed: it won in the backtest"
        )  # fmt: skip
        assert (second.version, second.by, second.why) == ("v1.0.0", "ann", "it won in the backtest")


@pytest.mark.parametrize("status", [Status.TRAINING, Status.VALIDATED, Status.DEPRECATED])
def test_a_version_that_does_not_run_is_registered_without_a_reason(lifecycle: Lifecycle, status: Status) -> None:
    assert lifecycle.register({**FIELDS, "status": str(status)}, Author("ann")).record.status is status


@pytest.mark.parametrize("again", ["v1.0.0", "1.0.0"])
def test_one_version_is_registered_once_however_it_is_spelt(lifecycle: Lifecycle, make: Make, again: str) -> None:
    record = make()
    make("v1.0.1")
    with pytest.raises(AlreadyExists) as raised:
        lifecycle.register({**FIELDS, "model_version": again}, ANN)
    error = raised.value
    assert (error.status, error.code) == (409, "ALREADY_EXISTS")
    assert error.detail.startswith("Model sentiment-fusion v1.0.0 already exists")
    assert error.existing == {"model_id": record.model_id, "status": "training"}
    assert "--update" in error.detail
    assert "v1.0.2" in error.detail, "the next version that is free"


def test_with_update_what_is_said_is_set_and_the_rest_stays(lifecycle: Lifecycle, make: Make) -> None:
    record = make(status=Status.DEPLOYED)
    done = lifecycle.register({**FIELDS, "test_score": 0.525, "tier_requirement": "free"}, ANN, update=True)
    assert not done.is_new
    assert (done.record.test_score, done.record.status, done.record.tier_requirement) == (
        0.525, Status.DEPLOYED, Tier.PREMIUM
    )  # fmt: skip
    assert done.record.model_id == record.model_id
    moved = lifecycle.register({**FIELDS, "status": "shadow"}, ANN, update=True)
    assert moved.record.status is Status.SHADOW


def test_an_update_changes_scores_and_bumps_the_stamp(lifecycle: Lifecycle, make: Make) -> None:
    record = make()
    stamps = [record.updated_at]
    for score in (0.5, 0.6, None):
        record = lifecycle.update(record, {"test_score": score}, ANN)
        assert record.test_score == score
        stamps.append(record.updated_at)
    assert stamps == sorted(set(stamps))
    assert record.created_at == stamps[0]
    event = lifecycle.history(NAME)[-1]
    assert (event.action, event.before, event.after, dict(event.changes)) == (
        Action.UPDATE, None, None, {"test_score": (0.6, None)}
    )  # fmt: skip


def test_an_update_without_a_field_is_an_error_and_one_without_a_change_stores_nothing(
    registry: Registry, lifecycle: Lifecycle, make: Make
) -> None:
    record = make()
    with pytest.raises(NothingToUpdate, match="No fields to update"):
        lifecycle.update(record, {}, ANN)
    before = registry.view().revision
    assert lifecycle.update(record, {"validation_score": 0.538}, ANN) == record
    assert registry.view().revision == before


def test_an_update_of_status_obeys_the_moves_and_needs_a_reason(lifecycle: Lifecycle, make: Make) -> None:
    record = make()
    with pytest.raises(IllegalMove):
        lifecycle.update(record, {"status": Status.SHADOW, "test_score": 0.5}, ANN)
    assert lifecycle.record(NAME, "v1.0.0").test_score is None, "nothing of a refused update is stored"
    with pytest.raises(BadRequest, match="a note is needed"):
        lifecycle.update(record, {"status": Status.VALIDATED}, Author("ann"))
    assert lifecycle.update(record, {"status": Status.VALIDATED, "test_score": 0.5}, ANN).status is Status.VALIDATED


def test_what_is_wrong_with_a_registration_is_told_and_nothing_is_stored(
    registry: Registry, lifecycle: Lifecycle
) -> None:
    with pytest.raises(InvalidVersion) as raised:
        lifecycle.register({**FIELDS, "objective": "profit", "prediction_horizon": "soon"}, ANN)
    assert len(raised.value.problems) == 2
    assert registry.view().revision == 0


def test_deploying_demotes_the_sibling_in_the_same_commit(registry: Registry, lifecycle: Lifecycle, make: Make) -> None:
    make("v1.0.0", Status.DEPLOYED)
    second = make("v1.1.0", Status.VALIDATED)
    before = registry.view()
    lifecycle.move(second, Status.DEPLOYED, Author("bob", "better on every fold"))
    assert registry.view().revision == before.revision + 1
    assert _statuses(lifecycle) == {"v1.0.0": Status.SHADOW, "v1.1.0": Status.DEPLOYED}
    demoted, deployed = lifecycle.history(NAME)[-2:]
    assert (demoted.version, demoted.actor, demoted.action) == ("v1.0.0", "bob", Action.DEMOTE)
    assert demoted.note == "v1.1.0 was deployed: better on every fold"
    assert (deployed.version, deployed.action, deployed.note) == ("v1.1.0", Action.DEPLOY, "better on every fold")
    assert demoted.at == deployed.at


def test_the_sibling_can_be_deprecated_instead(lifecycle: Lifecycle, make: Make) -> None:
    make("v1.0.0", Status.DEPLOYED)
    lifecycle.move(make("v1.1.0", Status.VALIDATED), Status.DEPLOYED, ANN, demote_to=Status.DEPRECATED)
    assert _statuses(lifecycle) == {"v1.0.0": Status.DEPRECATED, "v1.1.0": Status.DEPLOYED}
    with pytest.raises(BadRequest, match="demote_to"):
        lifecycle.move(lifecycle.record(NAME, "v1.1.0"), Status.SHADOW, ANN, demote_to=Status.TRAINING)


def test_versions_of_other_families_are_left_alone(lifecycle: Lifecycle, make: Make) -> None:
    make("v1.0.0", Status.DEPLOYED, model_name="early-signal")
    make("v1.0.0", Status.DEPLOYED)
    assert _statuses(lifecycle, "early-signal") == {"v1.0.0": Status.DEPLOYED}


def test_one_that_is_registered_as_deployed_takes_the_place_of_its_sibling(lifecycle: Lifecycle, make: Make) -> None:
    make("v1.0.0", Status.DEPLOYED)
    lifecycle.register({**FIELDS, "model_version": "v2.0.0", "status": "deployed"}, ANN)
    assert _statuses(lifecycle) == {"v1.0.0": Status.SHADOW, "v2.0.0": Status.DEPLOYED}
    assert lifecycle.deployed(NAME).record.model_version == "v2.0.0"


def test_a_move_to_where_it_stands_stores_nothing(registry: Registry, lifecycle: Lifecycle, make: Make) -> None:
    record = make(status=Status.DEPLOYED)
    before = registry.view().revision
    assert lifecycle.move(record, Status.DEPLOYED, ANN) == record
    assert registry.view().revision == before


def test_every_move_needs_a_reason_and_somebody(lifecycle: Lifecycle, make: Make) -> None:
    record = make()
    for note in ("", "  \n"):
        with pytest.raises(BadRequest, match="a note is needed"):
            lifecycle.move(record, Status.VALIDATED, Author("ann", note))
    for actor in ("", " ", "a\u202eb", "x" * 101):
        with pytest.raises(BadRequest, match="actor"):
            Author(actor, "because")
    with pytest.raises(BadRequest, match="note has 2001"):
        Author("ann", "x" * 2001)
    with pytest.raises(BadRequest, match="note is no text in UTF-8"):
        Author("ann", "no \udcff text")


def test_a_deprecated_version_is_restored_and_no_other_one(lifecycle: Lifecycle, make: Make) -> None:
    record = make(status=Status.DEPRECATED)
    assert lifecycle.restore(record, ANN).status is Status.VALIDATED
    assert lifecycle.history(NAME)[-1].action is Action.RESTORE
    with pytest.raises(IllegalMove, match="only what is deprecated"):
        lifecycle.restore(make("v2.0.0"), ANN)


def test_a_change_on_what_somebody_else_changed_meanwhile_is_refused(lifecycle: Lifecycle, make: Make) -> None:
    seen = make(status=Status.VALIDATED)
    lifecycle.update(seen, {"test_score": 0.5}, ANN)
    for change in (
        lambda: lifecycle.move(seen, Status.DEPLOYED, ANN, guard=seen.updated_at),
        lambda: lifecycle.update(seen, {"test_score": 0.7}, ANN, guard=seen.updated_at),
    ):
        with pytest.raises(RevisionConflict):
            change()
    now = lifecycle.record(NAME, "v1.0.0")
    assert (now.status, now.test_score) == (Status.VALIDATED, 0.5)
    assert lifecycle.move(now, Status.DEPLOYED, ANN, guard=now.updated_at).status is Status.DEPLOYED


def test_a_deployment_that_another_one_undid_meanwhile_is_checked_as_any_other(
    registry: Registry, lifecycle: Lifecycle, make: Make, tmp_path: Path
) -> None:
    seen = make("v1.0.0", Status.DEPLOYED)
    make("v2.0.0", Status.DEPLOYED)
    with pytest.raises(BadRequest, match="a note is needed"):
        lifecycle.move(seen, Status.DEPLOYED, Author("ann"))
    with pytest.raises(BadRequest, match="a note is needed"):
        lifecycle.update(seen, {"test_score": 0.5, "status": Status.DEPLOYED}, Author("ann"))
    _write_version(tmp_path / "models", "v1.0.0", model=False)
    registry.registrations.register("all", str(tmp_path / "models"))
    with pytest.raises(CannotPredict):
        lifecycle.move(seen, Status.DEPLOYED, ANN)
    assert _statuses(lifecycle) == {"v1.0.0": Status.SHADOW, "v2.0.0": Status.DEPLOYED}
    assert lifecycle.update(seen, {"test_score": 0.5}, Author("ann")).status is Status.SHADOW
    assert lifecycle.move(seen, Status.DEPLOYED, ANN, force=True).status is Status.DEPLOYED


def test_an_ab_test_deploys_one_and_shadows_the_other_at_once_or_neither(
    registry: Registry, lifecycle: Lifecycle, make: Make
) -> None:
    make("v1.0.0", Status.DEPLOYED)
    make("v2.0.0", Status.VALIDATED)
    before = registry.view().revision
    test = lifecycle.enable_ab_test(NAME, "2.0.0", "v1.0.0", ANN)
    assert (test.champion.model_version, [one.model_version for one in test.challengers]) == ("v2.0.0", ["v1.0.0"])
    assert registry.view().revision == before + 1
    assert lifecycle.ab_tests() == lifecycle.ab_tests(NAME) == (test,)
    make("v3.0.0")
    with pytest.raises(IllegalMove):
        lifecycle.enable_ab_test(NAME, "v1.0.0", "v3.0.0", ANN)
    assert lifecycle.deployed(NAME).record.model_version == "v2.0.0"
    with pytest.raises(BadRequest, match="its own challenger"):
        lifecycle.enable_ab_test(NAME, "v1.0.0", "1.0.0", ANN)


def test_a_champion_without_a_shadow_is_no_test(lifecycle: Lifecycle, make: Make) -> None:
    make("v1.0.0", Status.DEPLOYED)
    make("v2.0.0", Status.VALIDATED)
    assert lifecycle.ab_tests() == ()


def test_lists_are_filtered_and_the_newest_registration_comes_first(lifecycle: Lifecycle, make: Make) -> None:
    make("v1.0.0", Status.DEPLOYED, tier_requirement="free")
    make("v1.1.0", Status.SHADOW, model_type="xgboost", tier_requirement="enterprise")
    make("v1.0.0", model_name="early-signal", objective="price_prediction")

    def listed(**wanted: Any) -> list[str]:
        return [f"{one.model_name[:1]} {one.model_version}" for one in lifecycle.list(VersionFilter(**wanted))]

    assert listed() == ["e v1.0.0", "s v1.1.0", "s v1.0.0"]
    assert listed(limit=2) == ["e v1.0.0", "s v1.1.0"]
    assert listed(model_name=NAME) == ["s v1.1.0", "s v1.0.0"]
    assert listed(model_name="unknown") == []
    assert listed(status=Status.DEPLOYED) == ["s v1.0.0"]
    assert listed(model_type="xgboost") == ["s v1.1.0"]
    assert listed(objective="price_prediction", status=Status.TRAINING) == ["e v1.0.0"]
    assert listed(tier=Tier.FREE) == ["s v1.0.0"]
    assert [listed(caller_tier=tier) for tier in Tier] == [
        ["s v1.0.0"], ["e v1.0.0", "s v1.0.0"], ["e v1.0.0", "s v1.1.0", "s v1.0.0"]
    ]  # fmt: skip


def test_what_a_tier_may_not_see_is_not_there_for_it(lifecycle: Lifecycle, make: Make) -> None:
    hidden = make("v1.1.0", Status.DEPLOYED, tier_requirement="enterprise")
    make("v1.0.0", Status.SHADOW, tier_requirement="free")
    for ask in (
        lambda tier: lifecycle.record(NAME, "v1.1.0", tier),
        lambda tier: lifecycle.record_by_id(hidden.model_id, tier),
        lambda tier: lifecycle.deployed(NAME, tier),
        lambda tier: lifecycle.deployed_at(NAME, datetime.now(UTC), tier),
    ):
        with pytest.raises(VersionNotFound):
            ask(Tier.PREMIUM)
        ask(Tier.ENTERPRISE)
    assert {one.version for one in lifecycle.history(NAME, Tier.FREE)} == {"v1.0.0"}


def test_what_was_deployed_when_by_whom_and_why(
    lifecycle: Lifecycle, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = iter(range(1, 30))
    monkeypatch.setattr(lifecycle_changes, "_now", lambda: datetime(2026, 4, next(days), 12, tzinfo=UTC))
    first, second = make("v1.0.0", Status.VALIDATED), make("v1.1.0", Status.VALIDATED)  # 1st to 4th of April
    lifecycle.move(first, Status.DEPLOYED, Author("ann", "first one"))
    lifecycle.move(second, Status.DEPLOYED, Author("bob", "better"))
    lifecycle.move(lifecycle.record(NAME, "v1.1.0"), Status.DEPRECATED, Author("eve", "broken feed"))

    def then(day: int, hour: int = 12) -> tuple[str, str, str] | None:
        found = lifecycle.deployed_at(NAME, datetime(2026, 4, day, hour, tzinfo=UTC))
        return (found.record.model_version, found.deployment.by, found.deployment.why) if found is not None else None

    assert [then(4), then(5, 11)] == [None, None]
    assert [then(5), then(6, 11)] == [("v1.0.0", "ann", "first one")] * 2
    assert [then(6), then(7, 11)] == [("v1.1.0", "bob", "better")] * 2
    assert then(7) is None
    assert lifecycle.deployed_at(NAME, datetime(2026, 4, 6, 12, tzinfo=UTC)).record.status is Status.DEPLOYED


@pytest.mark.parametrize("text", ["2026-04-03", "2026-04-03T12:00:00", "yesterday", "", "2026-13-03T12:00:00Z"])
def test_a_time_without_an_offset_is_no_moment(text: str) -> None:
    with pytest.raises(BadRequest, match="no moment"):
        parse_moment(text)


def test_a_moment_has_an_offset() -> None:
    assert parse_moment("2026-04-03T14:30:00+02:00") == parse_moment("2026-04-03T12:30Z")


def test_an_unknown_version_says_whether_its_directory_is_there(
    registry: Registry, lifecycle: Lifecycle, tmp_path: Path
) -> None:
    directory = _write_version(tmp_path / "models", "v1.1.0")
    registry.registrations.register("all", str(tmp_path / "models"))
    with pytest.raises(VersionNotFound) as raised:
        lifecycle.record(NAME, "1.1.0")
    assert raised.value.code == "MODEL_NOT_FOUND"
    assert "Model not found: sentiment-fusion v1.1.0 is not registered" in raised.value.detail
    assert str(directory) in raised.value.detail
    assert "lifecycle register sentiment-fusion v1.1.0" in raised.value.detail
    with pytest.raises(VersionNotFound, match="No registered root holds its directory"):
        lifecycle.record(NAME, "v3.0.0")
    for name, version in (("../etc", "v1.0.0"), (NAME, "latest")):
        with pytest.raises(VersionNotFound):
            lifecycle.record(name, version)


def test_what_is_not_deployed_says_what_it_is_and_how_to_deploy(lifecycle: Lifecycle, make: Make) -> None:
    make("v1.0.0", Status.SHADOW)
    make("v1.1.0")
    with pytest.raises(VersionNotFound) as raised:
        lifecycle.deployed(NAME)
    assert "v1.0.0 is shadow, v1.1.0 is training" in raised.value.detail
    assert "lifecycle deploy sentiment-fusion" in raised.value.detail
    with pytest.raises(VersionNotFound, match="known: sentiment-fusion"):
        lifecycle.deployed("unknown")


def test_a_version_that_registered_roots_do_not_hold_is_not_registered(
    registry: Registry, lifecycle: Lifecycle, tmp_path: Path
) -> None:
    _write_version(tmp_path / "models", "v1.0.0")
    registry.registrations.register("all", str(tmp_path / "models"))
    with pytest.raises(VersionNotFound, match=r"registered roots hold v1\.0\.0 of 'sentiment-fusion', not v1\.1\.0"):
        lifecycle.register({**FIELDS, "model_version": "v1.1.0"}, ANN)
    assert lifecycle.register(FIELDS, ANN).warnings == ()


def test_what_no_root_tells_of_is_registered_with_a_warning(lifecycle: Lifecycle) -> None:
    (warning,) = lifecycle.register(FIELDS, ANN).warnings
    assert "No registered root holds versions of 'sentiment-fusion'" in warning
    warnings = lifecycle.register({**FIELDS, "model_name": "Sentiment_Fusion"}, ANN).warnings
    assert any("kebab-case" in warning for warning in warnings)


def test_versions_below_a_root_of_the_familys_own_name_are_found(
    registry: Registry, lifecycle: Lifecycle, tmp_path: Path
) -> None:
    _write_version(tmp_path / "models", "v1.0.0", model=False)
    registry.registrations.register(NAME, str(tmp_path / "models" / NAME))
    lifecycle.register({**FIELDS, "status": "validated"}, ANN)
    with pytest.raises(VersionNotFound, match="registered roots hold"):
        lifecycle.register({**FIELDS, "model_version": "v9.0.0"}, ANN)
    with pytest.raises(CannotPredict) as raised:
        lifecycle.update(lifecycle.record(NAME, "v1.0.0"), {"status": Status.DEPLOYED}, ANN)
    assert "v1.0.0/model.txt" in raised.value.detail


def test_a_version_that_cannot_predict_is_not_deployed_unless_forced_with_a_reason(
    registry: Registry, lifecycle: Lifecycle, make: Make, tmp_path: Path
) -> None:
    _write_version(tmp_path / "models", "v1.0.0", model=False)
    registry.registrations.register("all", str(tmp_path / "models"))
    record = make(status=Status.VALIDATED)
    with pytest.raises(CannotPredict) as raised:
        lifecycle.move(record, Status.DEPLOYED, ANN)
    error = raised.value
    assert (error.status, error.code) == (409, "MODEL_FILE_MISSING")
    assert any("model.txt" in problem for problem in error.problems)
    assert len(error.problems) > 1
    assert all(problem in error.detail for problem in error.problems[:SHOWN]), "commands print the detail alone"
    assert str(tmp_path / "models" / NAME / "v1.0.0") in error.detail
    with pytest.raises(CannotPredict):
        lifecycle.register({**FIELDS, "status": "deployed"}, ANN, update=True)
    with pytest.raises(BadRequest, match="a note is needed"):
        lifecycle.register({**FIELDS, "status": "deployed"}, Author("ann"), update=True, force=True)
    assert lifecycle.record(NAME, "v1.0.0").status is Status.VALIDATED
    assert lifecycle.move(record, Status.DEPLOYED, ANN, force=True).status is Status.DEPLOYED


def test_a_version_whose_files_are_damaged_is_not_deployed(
    registry: Registry, lifecycle: Lifecycle, make: Make, tmp_path: Path
) -> None:
    _write_version(tmp_path / "models", "v1.0.0")
    registry.registrations.register("all", str(tmp_path / "models"))
    with pytest.raises(CannotPredict) as raised:
        make(status=Status.DEPLOYED)
    assert raised.value.code == "CANNOT_PREDICT"
    assert lifecycle.move(lifecycle.record(NAME, "v1.0.0"), Status.SHADOW, ANN).status is Status.SHADOW


def test_a_version_whose_normalizer_is_invalid_is_not_deployed_and_the_feature_is_named(
    registry: Registry, lifecycle: Lifecycle, make: Make, write_version: WriteVersion, tmp_path: Path
) -> None:
    broken = {"momentum_5d": {"mean": "x", "std": 1}}
    write_version("v2.0.0")
    registry.registrations.register("all", str(write_version("v1.0.0", normalizer_json=broken)))
    record, _ = make(status=Status.VALIDATED), make("v2.0.0", Status.VALIDATED)
    deploys: tuple[Callable[[], object], ...] = (
        lambda: lifecycle.move(record, Status.DEPLOYED, ANN),
        lambda: lifecycle.carry_out(lifecycle.plan_move(record, Status.DEPLOYED), ANN),
        lambda: lifecycle.register({**FIELDS, "status": "deployed"}, ANN, update=True),
        lambda: lifecycle.enable_ab_test(NAME, "v1.0.0", "v2.0.0", ANN),
    )
    for deploy in deploys:
        with pytest.raises(InvalidNormalizer, match=r"^Invalid normalizer format for feature 'mom") as raised:
            deploy()
        error = raised.value
        assert (error.status, error.code) == (422, "NORMALIZER_INVALID")
        assert "Detected: {'mean': 'x', 'std': 1}" in error.detail
        assert 'Accepted are {"feature": {"mean": 0.0, "std": 1.0}}, or lists' in error.detail
        assert str(tmp_path / "root" / NAME / "v1.0.0") in error.detail
        assert any("normalizer.json" in problem for problem in error.problems)
        assert set(_statuses(lifecycle).values()) == {Status.VALIDATED}
    (problem,) = lifecycle.plan_move(record, Status.DEPLOYED).problems
    assert "momentum_5d" in problem
    assert lifecycle.move(record, Status.DEPLOYED, ANN, force=True).status is Status.DEPLOYED


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_version_whose_directory_is_gone_is_not_deployed_whether_or_not_a_scan_saw_it_go(
    registry: Registry, lifecycle: Lifecycle, make: Make, tmp_path: Path, is_seen: bool
) -> None:
    for version in ("v1.0.0", "v1.1.0"):
        _write_version(tmp_path / "models", version)
    registry.registrations.register("all", str(tmp_path / "models"))
    record = make(status=Status.VALIDATED)
    (tmp_path / "models" / NAME / "v1.0.0").rename(tmp_path / "aside")
    if is_seen:
        registry.registrations.refresh("all")
    with pytest.raises(CannotPredict, match="no registered root holds") as raised:
        lifecycle.move(record, Status.DEPLOYED, ANN)
    assert raised.value.code == "MODEL_FILE_MISSING"


def test_another_name_stands_for_a_family_where_it_is_said_and_nowhere_else(
    registry: Registry, lifecycle: Lifecycle, make: Make, tmp_path: Path
) -> None:
    make("v1.0.0", Status.VALIDATED)
    make("v1.0.0", model_name="price-prediction")
    assert lifecycle.set_alias(NAME, "sentiment", ANN).aliases == ("sentiment",)
    assert lifecycle.record("sentiment", "v1.0.0").model_name == NAME
    registered = lifecycle.register({**FIELDS, "model_name": "sentiment", "model_version": "v1.1.0"}, ANN)
    assert registered.record.model_name == NAME
    with pytest.raises(AlreadyExists):
        lifecycle.register({**FIELDS, "model_name": "sentiment"}, ANN)
    for taken in ("sentiment", "price-prediction", NAME):
        with pytest.raises(AlreadyExists, match="is a name of"):
            lifecycle.set_alias("price-prediction" if taken != "price-prediction" else NAME, taken, ANN)
    with pytest.raises(InvalidName):
        lifecycle.set_alias(NAME, "no spaces", ANN)
    _write_version(tmp_path / "models", "v1.0.0", model=False, name="sentiment")
    registry.registrations.register("all", str(tmp_path / "models"))
    with pytest.raises(CannotPredict, match=r"sentiment/v1\.0\.0"):
        lifecycle.move(lifecycle.record(NAME, "v1.0.0"), Status.DEPLOYED, ANN)
    assert lifecycle.set_alias(NAME, "sentiment", ANN, remove=True).aliases == ()
    with pytest.raises(VersionNotFound):
        lifecycle.record("sentiment", "v1.0.0")
    assert [one.action for one in lifecycle.history(NAME) if not one.version] == [Action.ALIAS, Action.UNALIAS]


def test_what_runs_or_is_pinned_is_kept_from_cleanups(lifecycle: Lifecycle, make: Make) -> None:
    make("v1.0.0", Status.DEPRECATED)
    make("v1.1.0", Status.SHADOW)
    make("v1.2.0", Status.DEPLOYED)
    pinned = lifecycle.set_pinned(make("v1.3.0"), True, ANN)
    assert pinned.pinned
    reasons = {version: lifecycle.reason_to_keep(Path("models", version)) for version in ("1.0.0", "1.1.0", "v1.2.0")}
    assert reasons == {
        "1.0.0": None,
        "1.1.0": f"{NAME} v1.1.0 is shadow (Staging) in the registry.",
        "v1.2.0": f"{NAME} v1.2.0 is deployed (Production) in the registry.",
    }
    assert lifecycle.reason_to_keep(Path("v1.3.0")) == f"{NAME} v1.3.0 is pinned in the registry."
    assert not lifecycle.set_pinned(pinned, False, ANN).pinned
    assert lifecycle.reason_to_keep(Path("v1.3.0")) is None


def test_a_stage_is_asked_for_by_what_the_version_has_been(lifecycle: Lifecycle, make: Make) -> None:
    never = make("v1.0.0", Status.DEPRECATED)
    once = lifecycle.move(make("v1.1.0", Status.VALIDATED), Status.DEPRECATED, ANN)
    assert lifecycle.status_for_stage(never, Stage.NONE) is Status.TRAINING
    assert lifecycle.status_for_stage(once, Stage.NONE) is Status.VALIDATED


def test_moves_are_news_for_people(registry: Registry, make: Make) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    make("v1.0.0", Status.VALIDATED)
    registry.lifecycle.set_alias(NAME, "other", Author("bob"))
    news = [(one.model_name, one.what) for one in registry.events_since(before)]
    assert sorted(news) == [
        (NAME, "Other names: other by bob."),
        (NAME, "v1.0.0 registered as training by ann (“figures were looked at”)."),
        (NAME, "v1.0.0: training → validated by ann (“figures were looked at”)."),
    ]


def test_a_backup_has_versions_and_history_and_they_come_back(
    registry: Registry, lifecycle: Lifecycle, make: Make, tmp_path: Path, settings: Settings
) -> None:
    for number in range(17):  # four events each: more than fit into one file
        make(f"v1.0.{number}", Status.DEPLOYED)
    registry.backups.create(tmp_path / "backup.zip")
    records, events = lifecycle.list(VersionFilter()), lifecycle.history(NAME)
    make("v9.0.0", Status.DEPLOYED)
    make("v1.0.0", model_name="newer")
    registry.backups.restore(tmp_path / "backup.zip")
    assert (lifecycle.list(VersionFilter()), lifecycle.history(NAME)) == (records, events)
    again = open_registry(settings)
    assert (again.lifecycle.list(VersionFilter()), again.lifecycle.history(NAME)) == (records, events)
    assert again.store.problems() == ()
    assert not (settings.data_dir / "lifecycle" / "newer").exists()
    assert {one.model_version: one for one in records} == replayed(events)


REGISTRY_FILE = {
    "models": [
        {
            "model_version": "v1.0.0", "model_type": "sentiment-fusion", "algorithm": "LightGBM",
            "registered_at": "2025-10-01T10:00:00", "performance": {"validation_accuracy": 0.51, "test_accuracy": 0.5},
            "deployment_status": "registered", "is_active": False,
        },
        {
            "model_version": "1.1.0", "algorithm": "LightGBM", "registered_at": "2025-10-09T21:09:18+02:00",
            "performance": {"accuracy": 0.538}, "deployment_status": "active", "is_active": True,
        },
    ],
    "active_model": "v1.1.0",
    "last_updated": "2025-10-10T00:00:00",
}  # fmt: skip
BESIDE = {"objective": "direction_classification", "target_variable": "d", "prediction_horizon": "1w"}


def _file(**changes: Any) -> bytes:
    return json.dumps({**REGISTRY_FILE, **changes}).encode()


def test_a_registry_file_is_imported_in_one_commit_with_what_is_active_deployed(
    registry: Registry, lifecycle: Lifecycle
) -> None:
    done = lifecycle.import_file(NAME, _file(), BESIDE, ANN)
    assert done.warnings == ()
    assert registry.view().revision == 1
    first, second = done.records
    assert (first.model_version, first.status, first.validation_score, first.test_score) == (
        "v1.0.0", Status.VALIDATED, 0.51, 0.5
    )  # fmt: skip
    assert (first.created_at, first.model_type) == ("2025-10-01T10:00:00.000+00:00", "lightgbm")
    assert (second.model_version, second.status, second.created_at) == (
        "v1.1.0", Status.DEPLOYED, "2025-10-09T19:09:18.000+00:00"
    )  # fmt: skip
    assert replayed(lifecycle.history(NAME)) == {one.model_version: one for one in done.records}


def test_a_file_that_contradicts_itself_deploys_nothing_and_says_so(lifecycle: Lifecycle) -> None:
    models = [{**REGISTRY_FILE["models"][1], "is_active": False}]
    done = lifecycle.import_file(NAME, _file(models=models), BESIDE, ANN)
    assert [one.status for one in done.records] == [Status.VALIDATED]
    assert len(done.warnings) == 2
    assert any("active_model is 'v1.1.0', is_active is set for none" in one for one in done.warnings)
    assert any("is_active false and deployment_status 'active'" in one for one in done.warnings)


def test_a_version_that_is_active_and_only_registered_is_not_deployed(lifecycle: Lifecycle) -> None:
    models = [{**REGISTRY_FILE["models"][1], "deployment_status": "registered"}]
    done = lifecycle.import_file(NAME, _file(models=models), BESIDE, ANN)
    assert [one.status for one in done.records] == [Status.VALIDATED]
    (warning,) = done.warnings
    assert "is_active true and deployment_status 'registered'" in warning


def test_what_is_registered_already_is_replaced_with_a_warning_and_keeps_its_status(
    lifecycle: Lifecycle, make: Make
) -> None:
    make("v1.0.0", Status.DEPLOYED)
    done = lifecycle.import_file(NAME, _file(), BESIDE, ANN)
    assert [(one.model_version, one.status) for one in done.records] == [
        ("v1.0.0", Status.DEPLOYED), ("v1.1.0", Status.VALIDATED)
    ]  # fmt: skip
    assert done.records[0].validation_score == 0.51
    assert ["registered already" in done.warnings[0], "stays deployed" in done.warnings[1]] == [True, True]
    assert lifecycle.import_file(NAME, _file(), BESIDE, ANN).warnings == (), "the same once more changes nothing"


def test_what_a_file_does_not_tell_of_a_registered_version_stays(lifecycle: Lifecycle, make: Make) -> None:
    before = make("v1.1.0", Status.DEPLOYED, tier_requirement="enterprise", test_score=0.61, model_type="ensemble")
    models = [{**REGISTRY_FILE["models"][1], "algorithm": "Prophet"}]
    done = lifecycle.import_file(NAME, _file(models=models), {**BESIDE, "model_type": "ensemble"}, ANN)
    (record,) = done.records
    assert (record.tier_requirement, record.test_score, record.validation_score) == (Tier.ENTERPRISE, 0.61, 0.538)
    assert set(lifecycle.history(NAME)[-1].changes) <= {"validation_score", "target_variable"}
    assert record.created_at == before.created_at
    given = {**BESIDE, "model_type": "ensemble", "tier_requirement": "free"}
    assert lifecycle.import_file(NAME, _file(models=models), given, ANN).records[0].tier_requirement is Tier.FREE


def test_what_is_active_in_a_file_and_has_an_invalid_normalizer_is_not_deployed_and_the_warning_says_why(
    registry: Registry, lifecycle: Lifecycle, write_version: WriteVersion
) -> None:
    registry.registrations.register("all", str(write_version(normalizer_json={"momentum_5d": {"mean": "x"}})))
    done = lifecycle.import_file(NAME, _file(), BESIDE, ANN)
    assert [one.status for one in done.records] == [Status.VALIDATED, Status.VALIDATED]
    warning, not_held = done.warnings
    assert "is validated, not deployed: Invalid normalizer format for feature 'momentum_5d'" in warning
    assert f"No registered root holds {NAME} v1.0.0" in not_held


def test_odd_entries_are_told_and_the_rest_is_imported(lifecycle: Lifecycle) -> None:
    models = [*REGISTRY_FILE["models"], {"model_version": "latest"}, 7, REGISTRY_FILE["models"][0]]
    text = _file(models=models).replace(b"0.538", b"NaN")
    done = lifecycle.import_file(NAME, text, BESIDE, ANN)
    assert [one.model_version for one in done.records] == ["v1.0.0", "v1.1.0"]
    assert done.records[1].validation_score is None
    for part in ("Entry 3 names no version", "Entry 4 names no version", "v1.0.0 stands twice", "JSON does not know"):
        assert any(part in warning for warning in done.warnings), part


@pytest.mark.parametrize("data", [b"", b"[]", b'{"models": {}}', b'{"models": 3}', b"\xff"])
def test_what_is_no_registry_file_is_refused(registry: Registry, lifecycle: Lifecycle, data: bytes) -> None:
    with pytest.raises(BadRequest, match="model-registry"):
        lifecycle.import_file(NAME, data, BESIDE, ANN)
    assert registry.view().revision == 0


def test_an_entry_without_an_algorithm_has_its_model_type(lifecycle: Lifecycle) -> None:
    entry = {name: value for name, value in REGISTRY_FILE["models"][0].items() if name != "algorithm"}
    done = lifecycle.import_file(NAME, _file(models=[{**entry, "model_type": "LightGBM"}]), BESIDE, ANN)
    assert done.records[0].model_type == "lightgbm"


def test_an_unknown_algorithm_needs_a_type_and_nothing_is_stored_without(
    registry: Registry, lifecycle: Lifecycle
) -> None:
    models = [{**REGISTRY_FILE["models"][0], "algorithm": "Prophet"}]
    with pytest.raises(InvalidVersion, match=r"v1\.0\.0: model_type is missing: .*--type"):
        lifecycle.import_file(NAME, _file(models=models), BESIDE, ANN)
    assert registry.view().revision == 0
    done = lifecycle.import_file(NAME, _file(models=models), {**BESIDE, "model_type": "ensemble"}, ANN)
    assert done.records[0].model_type == "ensemble"
