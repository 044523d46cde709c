"""Plans of moves: what they say is what is done, or nothing is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_core.domain.lifecycle import Status
from mm_core.errors import BadRequest, CannotPredict, RevisionConflict
from mm_core.registry import Registry
from mm_core.registry.lifecycle_changes import Author
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version
from tests.registry.test_lifecycle import ANN, NAME, Make, lifecycle, make

__all__ = ["lifecycle", "lightgbm_booster", "make", "write_version"]

BOB = Author("bob", "was faster")


def test_a_plan_names_the_version_that_makes_room_and_changes_nothing(registry: Registry, make: Make) -> None:
    first, second = make("v1.0.0", Status.DEPLOYED), make("v1.1.0", Status.VALIDATED)
    events = registry.lifecycle.history(NAME)
    plan = registry.lifecycle.plan_move(second, Status.DEPLOYED, Status.DEPRECATED)
    assert plan.replaced is not None
    assert (plan.replaced.model_id, plan.demote_to, plan.problems) == (first.model_id, Status.DEPRECATED, ())
    assert registry.lifecycle.history(NAME) == events
    moved = registry.lifecycle.carry_out(plan, ANN)
    assert moved.status is Status.DEPLOYED
    assert registry.lifecycle.record(NAME, "v1.0.0").status is Status.DEPRECATED


@pytest.mark.parametrize("status", [Status.SHADOW, Status.DEPRECATED])
def test_other_moves_take_nobodys_place(status: Status, registry: Registry, make: Make) -> None:
    make("v1.0.0", Status.DEPLOYED)
    plan = registry.lifecycle.plan_move(make("v1.1.0", Status.VALIDATED), status)
    assert plan.replaced is None
    assert registry.lifecycle.carry_out(plan, ANN).status is status
    assert registry.lifecycle.record(NAME, "v1.0.0").status is Status.DEPLOYED


def test_a_plan_is_refused_where_another_version_would_be_demoted_by_now(registry: Registry, make: Make) -> None:
    make("v1.0.0", Status.DEPLOYED)
    second, third = make("v1.1.0", Status.VALIDATED), make("v1.2.0", Status.VALIDATED)
    plan = registry.lifecycle.plan_move(second, Status.DEPLOYED)
    registry.lifecycle.move(third, Status.DEPLOYED, BOB)
    with pytest.raises(RevisionConflict, match=r"v1\.2\.0 is deployed by now, not sentiment-fusion v1\.0\.0"):
        registry.lifecycle.carry_out(plan, ANN)
    assert registry.lifecycle.record(NAME, "v1.2.0").status is Status.DEPLOYED


def test_a_plan_that_demotes_nobody_is_refused_once_somebody_is_deployed(registry: Registry, make: Make) -> None:
    first, second = make("v1.0.0", Status.VALIDATED), make("v1.1.0", Status.VALIDATED)
    plan = registry.lifecycle.plan_move(first, Status.DEPLOYED)
    registry.lifecycle.move(second, Status.DEPLOYED, BOB)
    with pytest.raises(RevisionConflict):
        registry.lifecycle.carry_out(plan, ANN)


def test_a_plan_is_refused_where_the_version_itself_was_changed(registry: Registry, make: Make) -> None:
    record = make("v1.0.0", Status.VALIDATED)
    plan = registry.lifecycle.plan_move(record, Status.DEPLOYED)
    registry.lifecycle.update(record, {"test_score": 0.4}, BOB)
    with pytest.raises(RevisionConflict):
        registry.lifecycle.carry_out(plan, ANN)


def test_a_plan_needs_a_reason(registry: Registry, make: Make) -> None:
    plan = registry.lifecycle.plan_move(make("v1.0.0", Status.VALIDATED), Status.DEPLOYED)
    with pytest.raises(BadRequest):
        registry.lifecycle.carry_out(plan, Author("ann"))


def test_a_plan_says_why_a_version_cannot_predict_and_needs_force_then(
    registry: Registry, make: Make, write_version: WriteVersion, tmp_path: Path
) -> None:
    registry.registrations.register("m", str(write_version("v1.0.0")))
    record = make("v1.0.0", Status.VALIDATED)
    (tmp_path / "root" / NAME / "v1.0.0" / "normalizer.json").unlink()
    registry.registrations.refresh("m")
    plan = registry.lifecycle.plan_move(record, Status.DEPLOYED)
    assert ["normalizer.json" in problem for problem in plan.problems] == [True]
    with pytest.raises(CannotPredict):
        registry.lifecycle.carry_out(plan, ANN)
    assert registry.lifecycle.carry_out(plan, ANN, force=True).status is Status.DEPLOYED
