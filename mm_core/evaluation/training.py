"""When a model was trained, and how fresh that is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mm_core.domain.groups import TrainingInfo

FRESH_DAYS = 7
STALE_DAYS = 30
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STAMP_UNITS = (1, 10**3, 10**6, 10**9)
"""Stamps a second: epoch stamps are in s, ms, us or ns."""


class Freshness(StrEnum):
    """How long ago the training window ended."""

    FRESH = "fresh"
    AGEING = "ageing"
    STALE = "stale"
    FUTURE = "future"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """First and last moment of the training data, UTC; a side that nobody told is None."""

    start: datetime | None
    end: datetime | None

    def age_days(self, now: datetime) -> float | None:
        """Return the days from the end of the window to ``now``."""
        return (now - self.end) / timedelta(days=1) if self.end is not None else None


def training_window(training: TrainingInfo) -> TrainingWindow:
    """Return the window by its dates, and by its stamps where there are no dates that can be read."""
    return TrainingWindow(
        _moment(training.start_date, training.window_start_ts), _moment(training.end_date, training.window_end_ts)
    )


def freshness(age_days: float | None) -> Freshness:
    """Return ``fresh`` below 7 days, ``ageing`` below 30, ``stale`` from there on, ``future`` a day or more ahead."""
    if age_days is None:
        return Freshness.UNKNOWN
    if age_days <= -1:
        return Freshness.FUTURE
    if age_days < FRESH_DAYS:
        return Freshness.FRESH
    return Freshness.AGEING if age_days < STALE_DAYS else Freshness.STALE


def stamp_moment(stamp: int) -> datetime | None:
    """Return an epoch stamp as a moment; its unit (s, ms, us, ns) is told by its size, None beyond the calendar.

    Seconds reach 1e11 in the year 5138, so larger stamps are of a finer unit.
    """
    unit = next((unit for unit in STAMP_UNITS if abs(stamp) < 10**11 * unit), None)
    if unit is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=stamp * 10**6 // unit)
    except OverflowError:
        return None


def _moment(date: str | None, stamp: int | None) -> datetime | None:
    if date:
        try:
            parsed = datetime.fromisoformat(date)
            return parsed.astimezone(UTC) if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            pass  # a text that is no date, or one that UTC moves beyond the calendar: the stamp decides
    return stamp_moment(stamp) if stamp is not None else None
