"""Statuses, the moves between them, stages and tiers: each one as the guide's tables have it."""

from __future__ import annotations

from itertools import product

import pytest

from mm_core.domain.lifecycle import Action, Stage, Status, Tier, checked_move, status_for
from mm_core.errors import IllegalMove

T, V, S, D, X = Status.TRAINING, Status.VALIDATED, Status.SHADOW, Status.DEPLOYED, Status.DEPRECATED

LEGAL = {
    (T, V): Action.VALIDATE,
    (V, S): Action.SHADOW,
    (V, D): Action.DEPLOY,
    (S, D): Action.DEPLOY,
    (D, S): Action.DEMOTE,
    (T, X): Action.DEPRECATE,
    (V, X): Action.DEPRECATE,
    (S, X): Action.DEPRECATE,
    (D, X): Action.DEPRECATE,
    (X, V): Action.RESTORE,
}
"""training → validated → shadow or deployed; shadow ↔ deployed; any → deprecated; deprecated → validated."""


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_each_of_the_25_pairs_is_a_move_with_a_name_or_refused_with_what_is_possible(
    before: Status, after: Status
) -> None:
    if (before, after) in LEGAL:
        assert checked_move(before, after, "m v1.0.0") is LEGAL[before, after]
        return
    with pytest.raises(IllegalMove) as raised:
        checked_move(before, after, "m v1.0.0")
    assert (raised.value.status, raised.value.code) == (409, "ILLEGAL_MOVE")
    assert f"m v1.0.0 is '{before}' and cannot become '{after}'" in raised.value.detail
    for one, other in LEGAL:
        if one is before:
            assert f"'{other}'" in raised.value.detail


@pytest.mark.parametrize(
    ("before", "after", "advice"),
    [
        (T, D, "Make it 'validated' first"),
        (T, S, "Make it 'validated' first"),
        (X, D, "Make it 'validated' first"),
        (S, V, "Make it 'deprecated' first"),
        (D, V, "Make it 'deprecated' first"),
        (V, T, "Register another version"),
    ],
)
def test_a_refused_move_names_a_way_that_never_leads_through_a_deployment(
    before: Status, after: Status, advice: str
) -> None:
    with pytest.raises(IllegalMove, match=advice):
        checked_move(before, after, "m v1.0.0")


def test_status_stage_and_what_runs_follow_the_mapping_table() -> None:
    assert [(status, status.stage, status.runs, status.counts) for status in Status] == [
        ("training", "None", False, False),
        ("validated", "Staging", False, False),
        ("shadow", "Staging", True, False),
        ("deployed", "Production", True, True),
        ("deprecated", "Archived", False, False),
    ]


@pytest.mark.parametrize(
    ("stage", "status", "was_validated", "wanted"),
    [
        (Stage.NONE, T, False, T),
        (Stage.NONE, X, False, T),
        (Stage.NONE, V, True, V),
        (Stage.NONE, X, True, V),
        (Stage.STAGING, T, False, V),
        (Stage.STAGING, V, True, V),
        (Stage.STAGING, S, True, S),
        (Stage.STAGING, D, True, S),
        (Stage.STAGING, X, True, V),
        (Stage.PRODUCTION, V, True, D),
        (Stage.PRODUCTION, T, False, D),
        (Stage.ARCHIVED, D, True, X),
    ],
)
def test_a_stage_asks_for_the_status_of_the_mapping_table(
    stage: Stage, status: Status, was_validated: bool, wanted: Status
) -> None:
    assert status_for(stage, status, was_validated=was_validated) is wanted


def test_a_tier_sees_what_needs_it_or_less() -> None:
    seen = {(caller, needed) for caller, needed in product(Tier, Tier) if caller.sees(needed)}
    assert seen == {
        ("free", "free"),
        ("premium", "free"),
        ("premium", "premium"),
        ("enterprise", "free"),
        ("enterprise", "premium"),
        ("enterprise", "enterprise"),
    }
