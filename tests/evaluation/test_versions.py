"""Figures of versions, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mm_core.domain.lifecycle import Action, Status
from mm_core.domain.runs import RunMetadata
from mm_core.domain.version_records import VersionEvent
from mm_core.domain.versions import (
    BoosterText,
    Evaluation,
    Normalizer,
    Version,
    VersionLayout,
    VersionMetadata,
    VersionNumber,
)
from mm_core.evaluation.versions import (
    FeatureImportance,
    feature_names,
    feature_shifts,
    generalization_gap,
    importance_of,
    reported_metrics,
    status_spans,
    version_parameters,
)


def _version(**fields: Any) -> Version:
    return Version(
        "fusion", "v1.0.0", VersionNumber(1, 0, 0), VersionLayout.VERSIONS, "fusion/v1.0.0", (),
        "2025-01-01T00:00:00+00:00", (), "2025-01-02T00:00:00+00:00", **fields,
    )  # fmt: skip


def _booster(names: tuple[str, ...], splits: tuple[int, ...], gain: tuple[float, ...]) -> BoosterText:
    return BoosterText(names, "binary", 1, 2, 6, splits, gain)


def _event(at: str, version: str, after: Status | None, note: str = "") -> VersionEvent:
    return VersionEvent(f"2025-01-{at}T00:00:00+00:00", "ann", Action.UPDATE, "fusion", version, None, after, note)


@pytest.mark.parametrize(
    ("validation", "test", "gap"), [(0.7, 0.62, 0.08), (0.5, 0.6, -0.1), (None, 0.6, None), (0.7, None, None)]
)
def test_the_gap_is_validation_minus_test_and_unknown_unless_both_are_known(
    validation: float | None, test: float | None, gap: float | None
) -> None:
    version = _version(metadata=VersionMetadata(validation_accuracy=validation), evaluation=Evaluation(accuracy=test))
    assert generalization_gap(version) == (pytest.approx(gap) if gap is not None else None)


def test_figures_of_a_run_carry_the_doubt_of_those_that_cannot_be() -> None:
    run = RunMetadata(performance_metrics={"lstm": {"sharpe_ratio": 82.96, "win_rate": 0.5, "recall": None}})
    found = {one.name: (one.value, bool(one.doubt)) for one in reported_metrics(_version(run=run), None)}
    assert found == {
        "lstm: sharpe_ratio": (82.96, True),
        "lstm: win_rate": (0.5, False),
        "lstm: recall": (None, False),
    }


def test_importance_is_a_share_of_all_gain_the_largest_first() -> None:
    version = _version(booster=_booster(("a", "b", "c"), (1, 5, 0), (1.0, 3.0, 0.0)), importance={"b": 5.0, "x": 2.0})
    found = [(one.feature, one.splits, one.gain_share, one.declared) for one in importance_of(version)]
    assert found == [("b", 5, 0.75, 5.0), ("a", 1, 0.25, None), ("x", None, None, 2.0), ("c", 0, 0.0, None)]


@pytest.mark.parametrize("own", [("Column_0", "Column_1"), ("spread_of_day", "volume")])
def test_columns_have_the_names_of_the_other_files_where_the_booster_writes_none_or_others(
    own: tuple[str, ...],
) -> None:
    names = ("spread of day", "volume")
    files = _version(
        booster=_booster(own, (1, 5), (1.0, 3.0)),
        normalizer=Normalizer(names, (0.5, 1.5), (1.0, 2.0)),
        importance={"spread of day": 1.0, "volume": 5.0},
    )
    assert feature_names(files) == names
    found = [(one.feature, one.splits, one.declared) for one in importance_of(files)]
    assert found == [("volume", 5, 5.0), ("spread of day", 1, 1.0)]
    assert [one.means for one in feature_shifts(files, files)] == [(0.5, 0.5), (1.5, 1.5)]


def test_columns_keep_the_boosters_names_where_the_other_files_disagree() -> None:
    files = _version(
        booster=_booster(("Column_0", "Column_1"), (1, 5), (1.0, 3.0)),
        normalizer=Normalizer(("a", "b"), (0.5, 1.5), (1.0, 2.0)),
        metadata=VersionMetadata(feature_names=("b", "a")),
    )
    assert feature_names(files) == ("Column_0", "Column_1")


def test_a_booster_without_any_gain_has_shares_of_nothing() -> None:
    (one,) = importance_of(_version(booster=_booster(("a",), (0,), (0.0,))))
    assert one.gain_share == 0.0


def test_a_booster_without_columns_knows_nothing_of_the_features_that_other_files_name() -> None:
    files = _version(booster=_booster((), (), ()), metadata=VersionMetadata(feature_names=("a", "b")))
    assert feature_names(files) == ("a", "b")
    assert importance_of(files) == ()
    assert [(one.change, one.gain_shares) for one in feature_shifts(files, files)] == [("kept", (None, None))] * 2
    declared = replace(files, importance={"b": 5.0})
    assert importance_of(declared) == (FeatureImportance("b", None, None, 5.0),)


def test_features_are_gained_lost_moved_or_kept() -> None:
    left = _version(
        booster=_booster(("a", "b", "c"), (1, 1, 1), (1.0, 1.0, 2.0)),
        normalizer=Normalizer(("a", "b", "c"), (0.0, 1.0, 2.0), (1.0, 1.0, 1.0)),
    )
    right = _version(booster=_booster(("a", "c", "d"), (1, 1, 1), (1.0, 1.0, 2.0)))
    found = {one.feature: (one.change, one.places, one.gain_shares, one.means) for one in feature_shifts(left, right)}
    assert found == {
        "a": ("kept", (0, 0), (0.25, 0.25), (0.0, None)),
        "b": ("lost", (1, None), (0.25, None), (1.0, None)),
        "c": ("moved", (2, 1), (0.5, 0.25), (2.0, None)),
        "d": ("gained", (None, 2), (None, 0.5), (None, None)),
    }


def test_parameters_are_text_by_dotted_name_without_what_is_not_known() -> None:
    metadata = VersionMetadata(algorithm="LightGBM", hyperparameters={"tree": {"num_leaves": 7}})
    assert version_parameters(_version(metadata=metadata)) == {
        "model.files": "0",
        "model.bytes": "0",
        "metadata.algorithm": "LightGBM",
        "hyperparameters.tree.num_leaves": "7",
    }


def test_statuses_last_until_the_next_one_of_the_same_version() -> None:
    events = [
        _event("01", "v1", Status.TRAINING),
        _event("02", "v2", Status.DEPLOYED),
        _event("03", "v1", None, "scores"),
        _event("04", "v1", Status.DEPLOYED),
    ]
    found = [(one.version, one.status, one.since.day, one.until and one.until.day) for one in status_spans(events)]
    assert found == [
        ("v1", Status.TRAINING, 1, 4),
        ("v2", Status.DEPLOYED, 2, None),
        ("v1", Status.DEPLOYED, 4, None),
    ]


def test_a_clock_that_was_set_back_makes_an_empty_time_never_a_negative_one() -> None:
    spans = status_spans([_event("05", "v1", Status.TRAINING), _event("02", "v1", Status.DEPLOYED)])
    (first,) = [one for one in spans if one.status is Status.TRAINING]
    assert (first.since, first.until) == (datetime(2025, 1, 5, tzinfo=UTC), datetime(2025, 1, 5, tzinfo=UTC))
