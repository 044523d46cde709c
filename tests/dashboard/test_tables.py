"""Tables of groups: ages at any moment, ranks of what has one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mm_core.dashboard.numbers import groups_of
from mm_core.dashboard.tables.factors import factor_table
from mm_core.dashboard.tables.models import groups_table
from mm_core.domain.configs import FactorConfig
from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.groups import Group, Scan, TrainingInfo
from mm_core.domain.models import RegisteredModel
from mm_core.evaluation.training import freshness

NOW = datetime(2024, 5, 8, 13, tzinfo=UTC)
ENDS = st.timedeltas(timedelta(days=-400), timedelta(days=400)) | st.integers(-40, 40).map(lambda n: timedelta(days=n))


def _group(end: datetime | None, taus: tuple[float | None, ...] = ()) -> Group:
    names = tuple(f"x{dim}" for dim in range(len(taus)))
    training = TrainingInfo(end_date=end.isoformat() if end is not None else None)
    return Group("BTC_r", "BTC", "r", (), FactorTable(names, taus), IcTable(), training, None, None, (), "")


@given(st.lists(st.none() | ENDS, max_size=5))
def test_an_age_is_the_whole_days_from_the_windows_end_and_has_its_freshness(ages: list[timedelta | None]) -> None:
    table = groups_table([_group(NOW - age if age is not None else None) for age in ages], NOW)
    days = [age / timedelta(days=1) if age is not None else None for age in ages]
    found = [int(age) if age == age else None for age in table["age in days"].astype(float)]
    assert found == [int(age) if age is not None else None for age in days]
    assert table["freshness"].tolist() == [str(freshness(age)) for age in days]
    assert list(table.columns[7:10]) == ["trained until", "age in days", "freshness"]


def test_ages_are_those_of_the_moment_though_the_table_is_kept() -> None:
    model = RegisteredModel("ages", "/", NOW.isoformat(), NOW.isoformat(), "of-one-day")
    scan = Scan("", {"BTC_r": _group(datetime(2024, 5, 1, 12, tzinfo=UTC))})
    found = [groups_of(model, scan, NOW - timedelta(hours=ago)).iloc[0] for ago in (2, 0)]
    assert [(row["age in days"], row["freshness"]) for row in found] == [(6, "fresh"), (7, "ageing")]


def test_a_tau_that_can_be_no_correlation_is_shown_and_has_no_rank() -> None:
    group = _group(None, (0.1, -7.0, None, -0.3))
    config = FactorConfig("BTC", group.factors.names, (0.0,) * 4, (1.0,) * 4)
    table = factor_table(group, config, None, ())
    assert table["Kendall τ"].tolist()[:2] == [0.1, -7.0]
    assert [None if rank != rank else rank for rank in table["|τ| rank"].astype(float)] == [2, None, None, 1]
