"""Records of versions: what may be registered, what events lead to, and who was deployed when."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from mm_core.domain.deployments import deployed_at, deployments
from mm_core.domain.lifecycle import Action, ModelType, Objective, Status, Tier
from mm_core.domain.version_records import (
    FieldChange,
    NewVersion,
    VersionEvent,
    later_than,
    parse_new_version,
    parse_update,
    replayed,
    version_id,
)
from mm_core.errors import InvalidVersion

GUIDE: dict[str, Any] = {
    "model_name": "sentiment-fusion",
    "model_version": "v1.1.0",
    "model_type": "lightgbm",
    "objective": "direction_classification",
    "target_variable": "price_direction_3d",
    "prediction_horizon": "1w",
    "validation_score": 0.538,
    "test_score": 0.525,
    "tier_requirement": "premium",
    "status": "deployed",
}
"""The guide's example."""


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("v1.1.0", "v1.1.0"),
        ("1.1.0", "v1.1.0"),
        ("01.1.00", "v1.1.0"),
        ("2.0.0-beta", "v2.0.0-beta"),
        ("20250724_150837", "20250724_150837"),
        ("20250724_150837_2", "20250724_150837_2"),
        ("20250230_150837", None),
        ("vv1.1.0", None),
        ("1.1", None),
        ("v1.1.0 ", None),
        ("latest", None),
        ("", None),
        ("v1.1.0-" + "x" * 50, None),
        ("1.1.0-" + "x" * 44, None),
    ],
)
def test_a_version_has_one_spelling(text: str, canonical: str | None) -> None:
    assert version_id(text) == canonical


def test_the_guides_example_is_a_registration() -> None:
    assert parse_new_version(GUIDE) == NewVersion(
        "sentiment-fusion", "v1.1.0", ModelType.LIGHTGBM, Objective.DIRECTION_CLASSIFICATION, "price_direction_3d",
        "1w", 0.538, 0.525, Tier.PREMIUM, Status.DEPLOYED,
    )  # fmt: skip


def test_what_is_not_said_has_the_guides_defaults() -> None:
    required = {name: GUIDE[name] for name in list(GUIDE)[:6]}
    new = parse_new_version(required)
    assert (new.status, new.tier_requirement, new.validation_score, new.test_score) == (
        "training", "premium", None, None
    )  # fmt: skip


def test_every_problem_of_a_registration_is_told_at_once() -> None:
    with pytest.raises(InvalidVersion) as raised:
        parse_new_version(
            {
                "model_name": "no spaces",
                "model_version": "latest",
                "model_type": "catboost",
                "target_variable": " ",
                "prediction_horizon": "soon",
                "validation_score": "0.5",
                "test_score": float("nan"),
                "tier_requirement": None,
                "status": "active",
                "artifact_path": "/x",
            }
        )
    problems = raised.value.problems
    assert len(problems) == 11
    for field in (
        "artifact_path", "objective is missing", "model_name", "model_version", "model_type", "target_variable",
        "prediction_horizon", "validation_score", "test_score", "tier_requirement", "status",
    ):  # fmt: skip
        assert any(field in problem for problem in problems), field


@pytest.mark.parametrize("parse", [parse_new_version, parse_update])
def test_beyond_a_thousand_problems_the_rest_is_counted(parse: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(InvalidVersion) as raised:
        parse({"unknown_" * 100 + str(at): at for at in range(3000)})
    told = raised.value.problems
    assert (len(told), told[-1].endswith("more problems"), max(map(len, told)) < 300) == (1001, True, True)
    assert len(raised.value.detail) < 300_000


@pytest.mark.parametrize("horizon", ["1h", "4h", "1d", "1w", "2w", "1m", "3m", "30d", "7d", "14d", "1y"])
def test_horizons_of_the_guide_and_of_real_scripts_are_taken(horizon: str) -> None:
    assert parse_new_version({**GUIDE, "prediction_horizon": horizon}).prediction_horizon == horizon


@pytest.mark.parametrize("horizon", ["", "h", "1", "-1d", "1 d", "1d\n", "1q", "١d"])
def test_other_horizons_are_not(horizon: str) -> None:
    with pytest.raises(InvalidVersion, match="prediction_horizon"):
        parse_new_version({**GUIDE, "prediction_horizon": horizon})


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, None), (0, 0.0), (1, 1.0), (0.1234565, 0.123457), (-0.1234565, -0.123457), (9999.999999, 9999.999999)],
)
def test_scores_keep_six_decimals(given: float | None, kept: float | None) -> None:
    assert parse_update({"test_score": given}) == {"test_score": kept}


@pytest.mark.parametrize("given", [10_000, -10_000.5, True, "0.5", float("inf"), float("nan"), 10**400, [1]])
def test_other_scores_are_refused(given: object) -> None:
    with pytest.raises(InvalidVersion, match="test_score"):
        parse_update({"test_score": given})


def test_scores_and_status_alone_can_be_updated() -> None:
    assert parse_update({"validation_score": 0.5, "status": "shadow"}) == {
        "validation_score": 0.5,
        "status": Status.SHADOW,
    }
    with pytest.raises(InvalidVersion, match="'target_variable' cannot be updated"):
        parse_update({"target_variable": "x"})


def test_a_stamp_grows_whatever_the_clock_says() -> None:
    before = "2026-04-03T12:00:00.000+00:00"
    assert later_than(before, "2026-04-03T13:00:00.000+00:00") == "2026-04-03T13:00:00.000+00:00"
    assert later_than(before, "2020-01-01T00:00:00.000+00:00") == "2026-04-03T12:00:00.001+00:00"
    assert later_than(before, before) > before


def _event(at: str, version: str, before: Status | None, after: Status | None, **rest: Any) -> VersionEvent:
    action = Action.REGISTER if before is None else Action.DEPLOY
    return VersionEvent(f"2026-04-{at}:00.000+00:00", "ann", action, "m", version, before, after, f"{version} {after}",
                        **rest)  # fmt: skip


def _registered(at: str, version: str) -> VersionEvent:
    fields = {
        "model_id": f"id of {version}", "model_type": "lightgbm", "objective": "price_prediction",
        "target_variable": "t", "prediction_horizon": "1d", "created_at": "c", "tier_requirement": "free",
        "validation_score": None, "test_score": None, "pinned": False,
    }  # fmt: skip
    return _event(at, version, None, Status.VALIDATED, changes={n: FieldChange(None, v) for n, v in fields.items()})


A, B = "v1.0.0", "v2.0.0"
EVENTS = [
    _registered("01T08:00", A),
    _registered("01T09:00", B),
    _event("02T12:00", A, Status.VALIDATED, Status.DEPLOYED),
    _event("02T15:00", A, None, None, changes={"test_score": FieldChange(None, 0.5)}),
    _event("03T10:00", A, Status.DEPLOYED, Status.SHADOW),
    _event("03T10:00", B, Status.VALIDATED, Status.DEPLOYED),
    _event("04T10:00", B, Status.DEPLOYED, Status.DEPRECATED),
]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-04-{text}:00+00:00")


def test_events_replay_to_records() -> None:
    first, second = (replayed(EVENTS)[version] for version in (A, B))
    assert (first.status, first.test_score, first.model_id) == (Status.SHADOW, 0.5, f"id of {A}")
    assert first.updated_at == "2026-04-03T10:00:00.000+00:00"
    assert (second.status, second.model_type, second.tier_requirement) == (
        Status.DEPRECATED, ModelType.LIGHTGBM, Tier.FREE
    )  # fmt: skip


def test_deployments_are_told_with_beginning_and_end() -> None:
    first, second = deployments(EVENTS)
    assert (first.version, first.since[8:16], first.why, first.first) == (A, "02T12:00", f"{A} deployed", 3)
    assert (first.until[8:16], first.ended_by, first.last) == ("03T10:00", "ann", 5)
    assert (second.version, second.first, second.last) == (B, 6, 7)


def test_thousands_of_deployments_are_told_in_linear_time() -> None:
    pair = [
        _event("02T12:00", A, Status.SHADOW, Status.DEPLOYED),
        _event("03T10:00", A, Status.DEPLOYED, Status.SHADOW),
    ]

    def seconds(count: int) -> float:
        begun = time.process_time()
        assert len(deployments(pair * count)) == count
        return time.process_time() - begun

    gc.disable()  # it looks at all that the process holds
    try:
        few, many = (min(seconds(count) for _ in range(3)) for count in (1_000, 16_000))
    finally:
        gc.enable()
    assert many < 80 * few, "sixteen times as much, with room for noise"


@pytest.mark.parametrize(
    ("moment", "version"),
    [
        ("01T07:00", None), ("02T11:59", None), ("02T12:00", A), ("03T09:59", A), ("03T10:00", B), ("04T09:59", B),
        ("04T10:00", None), ("30T00:00", None),
    ],
)  # fmt: skip
def test_what_was_deployed_is_known_for_every_moment(moment: str, version: str | None) -> None:
    found = deployed_at(EVENTS, _at(moment))
    assert (found.deployment.version if found is not None else None) == version


def test_a_record_is_shown_as_it_was_then() -> None:
    before, after = deployed_at(EVENTS, _at("02T13:00")), deployed_at(EVENTS, _at("02T16:00"))
    assert (before.record.test_score, after.record.test_score) == (None, 0.5)
    assert after.record.status is Status.DEPLOYED


def test_a_clock_that_was_set_back_does_not_change_the_order_of_events() -> None:
    events = [*EVENTS[:3], EVENTS[4], _event("01T12:00", B, Status.VALIDATED, Status.DEPLOYED)]
    assert deployed_at(events, _at("01T11:00")) is None
    assert deployed_at(events, _at("02T13:00")).deployment.version == B, "the later event, from its time on"
