"""Training windows: moments in UTC whatever form they were written in, and how old they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.domain.groups import TrainingInfo
from mm_core.evaluation.training import Freshness, TrainingWindow, freshness, stamp_moment, training_window

MOMENT = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
SECONDS = 1_714_566_600  # date -u -d 2024-05-01T12:30 +%s


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9], ids=["s", "ms", "us", "ns"])
def test_the_size_of_a_stamp_tells_its_unit(unit: int) -> None:
    assert stamp_moment(SECONDS * unit) == MOMENT


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-86_400, datetime(1969, 12, 31, tzinfo=UTC)),
        (-SECONDS * 10**9, datetime(1970, 1, 1, tzinfo=UTC) - timedelta(seconds=SECONDS)),
        (10**11 - 1, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (10**11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (SECONDS * 10**9 + 123_456_789, MOMENT + timedelta(microseconds=123_456)),
    ],
)
def test_a_stamp_is_a_moment_of_the_epoch_in_whole_microseconds(stamp: int, moment: datetime) -> None:
    assert stamp_moment(stamp) == moment


@pytest.mark.parametrize("stamp", [1 - 10**11, 10**20, -(10**20), 10**30, 10**400], ids="abcde")
def test_a_stamp_beyond_the_calendar_is_no_moment(stamp: int) -> None:
    assert stamp_moment(stamp) is None


@given(st.integers())
def test_every_stamp_is_a_moment_in_utc_or_none(stamp: int) -> None:
    moment = stamp_moment(stamp)
    assert moment is None or moment.tzinfo is UTC


@given(st.datetimes(datetime(1974, 1, 1), datetime(5000, 1, 1), timezones=st.just(UTC)))
def test_a_moment_is_found_again_from_its_stamp_in_every_finer_unit(moment: datetime) -> None:
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert stamp_moment(microseconds) == moment
    assert stamp_moment(microseconds * 1000) == moment
    assert stamp_moment(microseconds // 1000) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.mark.parametrize(
    "date",
    [
        "2024-05-01T12:30:00",
        "2024-05-01 12:30",
        "2024-05-01T12:30:00Z",
        "2024-05-01T14:30+02:00",
        "20240501T073000-0500",
    ],
)
def test_dates_without_a_zone_are_utc_and_others_are_moved_there(date: str) -> None:
    window = training_window(TrainingInfo(start_date=date, end_date=date))
    assert window == TrainingWindow(MOMENT, MOMENT)
    assert window.end is not None
    assert window.end.utcoffset() == timedelta(0)


def test_a_day_begins_at_midnight_utc() -> None:
    assert training_window(TrainingInfo(end_date="2024-05-01")).end == datetime(2024, 5, 1, tzinfo=UTC)


def test_dates_come_before_stamps_side_by_side() -> None:
    training = TrainingInfo(
        start_date="2024-01-01", window_start_ts=SECONDS, window_end_ts=SECONDS * 1000, end_date=None
    )
    assert training_window(training) == TrainingWindow(datetime(2024, 1, 1, tzinfo=UTC), MOMENT)


@pytest.mark.parametrize(
    "date", ["", "yesterday", "2024-13-01", "0001-01-01T00:00+05:00", "9999-12-31T23:00-05:00", "2024-05-01\0"]
)
def test_a_date_that_is_none_leaves_the_word_to_the_stamp(date: str) -> None:
    assert training_window(TrainingInfo(end_date=date, window_end_ts=SECONDS)).end == MOMENT
    assert training_window(TrainingInfo(end_date=date)).end is None


@given(st.text(max_size=30))
def test_every_text_is_a_date_or_none(date: str) -> None:
    end = training_window(TrainingInfo(end_date=date)).end
    assert end is None or end.utcoffset() == timedelta(0)


def test_a_window_that_nobody_told_has_no_age() -> None:
    window = training_window(TrainingInfo())
    assert window == TrainingWindow(None, None)
    assert window.age_days(MOMENT) is None


def test_age_counts_days_from_the_end_in_any_zone_and_is_negative_for_a_window_that_has_not_ended() -> None:
    window = TrainingWindow(None, MOMENT)
    assert window.age_days(MOMENT + timedelta(hours=36)) == 1.5
    assert window.age_days((MOMENT + timedelta(days=2)).astimezone(timezone(timedelta(hours=8)))) == 2.0
    assert window.age_days(MOMENT - timedelta(hours=6)) == -0.25


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (None, Freshness.UNKNOWN),
        (-0.9, Freshness.FRESH),
        (-1.0, Freshness.FUTURE),
        (-3.0, Freshness.FUTURE),
        (0.0, Freshness.FRESH),
        (6.999, Freshness.FRESH),
        (7.0, Freshness.AGEING),
        (29.999, Freshness.AGEING),
        (30.0, Freshness.STALE),
        (4000.0, Freshness.STALE),
    ],
)
def test_a_week_is_fresh_and_a_month_is_stale(age: float | None, expected: Freshness) -> None:
    assert freshness(age) is expected
