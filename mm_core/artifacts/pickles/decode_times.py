"""Points in time: epoch counts, the standard library's dates, and zones, as ISO 8601 text."""

from __future__ import annotations

import re
import sys
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from mm_core.artifacts.pickles.decoding import CannotDecode, Decoding, decoded_buffer
from mm_core.artifacts.pickles.nodes import Call, Pairs

ZONE_CELLS = 2_000
"""What looking up a time zone costs of the budget: it reads a file."""

NOT_A_TIME = -(1 << 63)
"""The count by which NumPy and pandas say NaT."""

_NANOSECONDS = {
    "W": 7 * 86_400 * 10**9,
    "D": 86_400 * 10**9,
    "h": 3_600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
_DAY = _NANOSECONDS["D"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_TEXT_LENGTHS = {"h": 13, "m": 16, "s": 19}
_FRACTIONS = {"ms": 3, "us": 6, "ns": 9}
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,3}\Z")


def nanoseconds(count: int, unit: str) -> int:
    """Return ``count`` of ``unit`` (``W`` to ``ns``) in nanoseconds."""
    if unit not in _NANOSECONDS:
        raise CannotDecode(f"times are counted in '{unit[:8]}'")
    return count * _NANOSECONDS[unit]


def seconds(count: int, unit: str) -> float:
    """Return a span of time in seconds."""
    return nanoseconds(count, unit) / 10**9


def timestamp_text(count: int, unit: str, zone: tzinfo | None) -> str:
    """Return a count since 1970 (UTC) as pandas writes a timestamp: nanoseconds only where there are some."""
    instant = nanoseconds(count, unit)
    offset = timedelta(0)
    if zone is not None:
        offset = _offset_at(instant, zone)
        instant += (offset.days * 86_400 + offset.seconds) * 10**9
    text, fraction = _date_and_time(instant)
    if fraction % 1000:
        text += f".{fraction:09d}"
    elif fraction:
        text += f".{fraction // 1000:06d}"
    return text if zone is None else text + _offset_text(offset)


def numpy_time_text(count: int, unit: str) -> str:
    """Return a count since 1970 as NumPy writes a ``datetime64``: with the digits of its unit."""
    if unit in ("Y", "M"):
        year, month = divmod(count, 12) if unit == "M" else (count, 0)
        if not 1 <= year + 1970 <= 9999:
            raise CannotDecode("a year is out of range")
        return f"{year + 1970:04d}" + (f"-{month + 1:02d}" if unit == "M" else "")
    text, fraction = _date_and_time(nanoseconds(count, unit))
    if unit in ("D", "W"):
        return text[:10]
    if unit in _FRACTIONS:
        return f"{text}.{f'{fraction:09d}'[: _FRACTIONS[unit]]}"
    return text[: _TEXT_LENGTHS[unit]]


def _date_and_time(instant: int) -> tuple[str, int]:
    days, rest = divmod(instant, _DAY)
    whole, fraction = divmod(rest, 10**9)
    ordinal = days + _EPOCH_ORDINAL
    if not 1 <= ordinal <= date.max.toordinal():
        raise CannotDecode("a year is out of range")
    hour, minute = divmod(whole // 60, 60)
    return f"{date.fromordinal(ordinal).isoformat()}T{hour:02d}:{minute:02d}:{whole % 60:02d}", fraction


def _offset_at(instant: int, zone: tzinfo) -> timedelta:
    moment = _EPOCH + timedelta(seconds=instant // 10**9)
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _offset_text(offset: timedelta) -> str:
    return datetime(2000, 1, 1, tzinfo=timezone(offset)).isoformat()[19:]


def decode_datetime(decoding: Decoding, call: Call) -> str:
    """Return a `datetime` as ISO text; its state is ten bytes, or the numbers themselves."""
    data = _state_bytes(decoding, call.arguments[0])
    zone = None
    if len(call.arguments) > 1:
        zone = zone_of(decoding, call.arguments[1], local=True)
    if len(data) != 10:
        raise CannotDecode("a datetime has ten bytes")
    year, month, microsecond = data[0] << 8 | data[1], data[2] & 0x7F, int.from_bytes(data[7:10], "big")
    # The highest bit of the month says which of two equal wall clock times is meant.
    moment = datetime(year, month, data[3], data[4], data[5], data[6], microsecond, tzinfo=zone, fold=data[2] >> 7)
    return moment.isoformat()


def decode_date(decoding: Decoding, call: Call) -> str:
    """Return a `date` as ISO text; its state is four bytes."""
    data = _state_bytes(decoding, call.arguments[0])
    if len(data) != 4:
        raise CannotDecode("a date has four bytes")
    return date(data[0] << 8 | data[1], data[2], data[3]).isoformat()


def decode_time(decoding: Decoding, call: Call) -> str:
    """Return a `time` of day as ISO text; its state is six bytes."""
    data = _state_bytes(decoding, call.arguments[0])
    if len(data) != 6 or len(call.arguments) > 1:
        raise CannotDecode("a time has six bytes")
    return time(data[0] & 0x7F, data[1], data[2], int.from_bytes(data[3:6], "big")).isoformat()


def decode_timedelta(decoding: Decoding, call: Call) -> float:
    """Return a `timedelta` in seconds."""
    return _timedelta(call).total_seconds()


def _state_bytes(decoding: Decoding, node: object) -> bytes | bytearray:
    if isinstance(node, str) and len(node) <= 10:
        return node.encode("latin-1")
    return decoded_buffer(decoding, node)


def _timedelta(node: object) -> timedelta:
    if not isinstance(node, Call) or node.path != "datetime.timedelta":
        raise CannotDecode("a span of time is no timedelta")
    days, whole, micro = node.arguments
    if not (isinstance(days, int) and isinstance(whole, int) and isinstance(micro, int)):
        raise CannotDecode("a timedelta is no numbers")
    return timedelta(days, whole, micro)


def zone_of(decoding: Decoding, node: object, *, local: bool) -> tzinfo | None:
    """Return the time zone that a node describes.

    pytz writes an offset beside the zone's name. For one moment (``local``) it is that moment's; for an array it is
    the zone's first offset ever, so that the name is needed.
    """
    if node is None:
        return None
    if isinstance(node, str):
        return _named_zone(decoding, node)
    if not isinstance(node, Call):
        raise CannotDecode("a time zone is of no known kind")
    arguments = node.arguments
    match node.path:
        case "pytz._UTC" | "dateutil.tz.tzutc":
            return UTC
        case "datetime.timezone":
            return timezone(_timedelta(arguments[0]))
        case "pytz._p" if local and len(arguments) > 1:
            return _fixed(arguments[1])
        case "pytz._p" | "zoneinfo.ZoneInfo" | "zoneinfo.ZoneInfo._unpickle":
            return _named_zone(decoding, arguments[0])
        case "pytz.FixedOffset" | "pytz._FixedOffset":
            minutes = arguments[0]
            return _fixed(minutes * 60 if isinstance(minutes, int) else None)
        case "dateutil.tz.tzoffset":
            return _dateutil_offset(node)
        case "dateutil.tz.tzfile" | "dateutil.zoneinfo.tzfile" | "dateutil.tz._tzfile._unpickle":
            return _named_zone(decoding, _path_of_zone_file(arguments))
    raise CannotDecode("a time zone is of no known kind")


def _fixed(offset: object) -> tzinfo:
    if not isinstance(offset, int):
        raise CannotDecode("the offset of a time zone is no number")
    return timezone(timedelta(seconds=offset))


def _dateutil_offset(node: Call) -> tzinfo:
    if isinstance(node.state, Pairs):
        for key, value in node.state.entries[:8]:
            if isinstance(key, str) and key == "_offset":
                return timezone(_timedelta(value))
    offset = node.arguments[1]
    return timezone(_timedelta(offset)) if isinstance(offset, Call) else _fixed(offset)


def _path_of_zone_file(arguments: tuple[object, ...]) -> str:
    for argument in arguments:
        if isinstance(argument, str):
            return argument.rpartition("zoneinfo/")[2]
    raise CannotDecode("a time zone has no name")


def _named_zone(decoding: Decoding, name: object) -> tzinfo:
    if not isinstance(name, str) or len(name) > 64 or not _ZONE_NAME.match(name):
        raise CannotDecode("a time zone has no usable name")
    if name in ("UTC", "Etc/UTC"):
        return UTC
    if name not in decoding.zones:
        decoding.spend(ZONE_CELLS)
        decoding.zones[name] = _zone_from_database(name)
    zone = decoding.zones[name]
    if zone is None:
        raise CannotDecode(f"this machine does not know the time zone '{name}'")
    return zone


@lru_cache(maxsize=64)
def _zone_from_database(name: str) -> tzinfo | None:
    # Not ZoneInfo(name): where the system has no such zone, it imports a module whose name is made of this one.
    packaged = [Path(entry, "tzdata", "zoneinfo") for entry in sys.path]
    for directory in [*map(Path, zoneinfo.TZPATH), *packaged]:
        path = directory / name
        if path.is_file():
            return _zone_from_file(path.read_bytes(), name)
    return None


def _zone_from_file(data: bytes, name: str) -> tzinfo | None:
    try:
        return zoneinfo.ZoneInfo.from_file(BytesIO(data), key=name)
    except ValueError:
        return None
