"""Moments as state, payloads and answers hold them: ISO 8601 text in UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(seconds: float) -> str:
    """Return the text of a moment, given in seconds since the epoch."""
    return _text(datetime.fromtimestamp(seconds, UTC))


def utc_now() -> str:
    """Return the text of this moment."""
    return _text(datetime.now(UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
