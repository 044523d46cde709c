"""Arrow arrays from the buffers that pyarrow pickles; pyarrow itself is not needed.

pyarrow writes an array as ``(type, length, null count, offset, buffers, children, dictionary)``: a bitmap of the values
that are there, and the values, or their ends and their UTF-8 bytes.
"""

from __future__ import annotations

import re
import struct
from datetime import tzinfo

from mm_core.artifacts.pickles.decode_times import seconds, timestamp_text, zone_of
from mm_core.artifacts.pickles.decoding import TIME_CELLS, CannotDecode, Decoding, decoded_buffer
from mm_core.artifacts.pickles.nodes import Call

_NUMBERS = {
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "halffloat": "e",
    "float": "f",
    "double": "d",
}
_ENDS = {"string": "i", "utf8": "i", "large_string": "q", "large_utf8": "q"}
_TIME_ALIAS = re.compile(r"(timestamp|duration)\[(s|ms|us|ns)\]\Z")


def arrow_values(decoding: Decoding, node: object) -> list[object]:
    """Return the plain values of an Arrow array or chunked array."""
    if not isinstance(node, Call):
        raise CannotDecode("an Arrow array is of no known kind")
    if node.path == "pyarrow.lib.chunked_array":
        chunks = node.arguments[0]
        if not isinstance(chunks, (list, tuple)):
            raise CannotDecode("an Arrow array has no chunks")
        decoding.spend(len(chunks))
        return [value for chunk in chunks for value in _restored(decoding, chunk)]
    return _restored(decoding, node)


def _restored(decoding: Decoding, node: object) -> list[object]:
    if not isinstance(node, Call) or node.path != "pyarrow.lib._restore_array":
        raise CannotDecode("an Arrow array is of no known kind")
    return _array(decoding, node.arguments[0])


def _array(decoding: Decoding, parts: object) -> list[object]:
    if not isinstance(parts, tuple) or len(parts) < 7:
        raise CannotDecode("an Arrow array is no tuple")
    data_type, length, _, offset, buffers, _, dictionary = parts[:7]
    if not isinstance(length, int) or not isinstance(offset, int) or length < 0 or offset < 0:
        raise CannotDecode("an Arrow array has no length")
    if not isinstance(data_type, Call) or not isinstance(buffers, list):
        raise CannotDecode("an Arrow array has no type")
    decoding.spend(1 + length)
    values = _raw_values(decoding, data_type, length, offset, buffers, dictionary)
    if not buffers or buffers[0] is None:
        return values
    present = decoded_buffer(decoding, buffers[0])
    places = range(offset, offset + length)
    return [
        value if present[place >> 3] >> (place & 7) & 1 else None for place, value in zip(places, values, strict=True)
    ]


def _raw_values(
    decoding: Decoding, data_type: Call, length: int, offset: int, buffers: list[object], dictionary: object
) -> list[object]:
    alias = data_type.arguments[0]
    if data_type.path == "pyarrow.lib.dictionary":
        codes = _raw_values(decoding, _as_type(alias), length, offset, buffers, None)
        meanings = decoding.deeper(lambda: _array(decoding, dictionary))
        # A missing value has any code; the bitmap decides.
        known = [code if isinstance(code, int) and code < len(meanings) else -1 for code in codes]
        return decoding.chosen(meanings, known)
    if data_type.path == "pyarrow.lib.timestamp":
        unit, *zone = data_type.arguments
        return _timestamps(
            decoding, buffers, length, offset, unit, zone_of(decoding, zone[0], local=False) if zone else None
        )
    if data_type.path == "pyarrow.lib.duration":
        return _durations(decoding, buffers, length, offset, alias)
    if data_type.path != "pyarrow.lib.type_for_alias" or not isinstance(alias, str):
        raise CannotDecode("an Arrow type is not read")
    if alias in _NUMBERS:
        raw = _numbers(decoding, buffers[1], _NUMBERS[alias], length, offset)
        return [decoding.number(value) if isinstance(value, float) else value for value in raw]
    if alias in _ENDS:
        return _texts(decoding, buffers, _ENDS[alias], length, offset)
    if alias == "bool":
        bits = decoded_buffer(decoding, buffers[1])
        return [bool(bits[place >> 3] >> (place & 7) & 1) for place in range(offset, offset + length)]
    if alias == "null":
        return [None] * length
    times = _TIME_ALIAS.match(alias)
    if times is not None and times[1] == "timestamp":
        return _timestamps(decoding, buffers, length, offset, times[2], None)
    if times is not None:
        return _durations(decoding, buffers, length, offset, times[2])
    if alias == "date32[day]":
        days = _numbers(decoding, buffers[1], "i", length, offset)
        return [timestamp_text(int(day), "D", None)[:10] for day in days]
    raise CannotDecode(f"Arrow arrays of '{alias[:32]}' are not read")


def _as_type(node: object) -> Call:
    if not isinstance(node, Call) or node.path != "pyarrow.lib.type_for_alias":
        raise CannotDecode("an Arrow type is not read")
    return node


def _numbers(decoding: Decoding, buffer: object, code: str, length: int, offset: int) -> tuple[int | float, ...]:
    return struct.unpack_from(
        f"<{length}{code}", decoded_buffer(decoding, buffer), offset * struct.calcsize(f"<{code}")
    )


def _texts(decoding: Decoding, buffers: list[object], code: str, length: int, offset: int) -> list[object]:
    if length == 0:
        return []
    ends = _numbers(decoding, buffers[1], code, length + 1, offset)
    data = b"" if buffers[2] is None else decoded_buffer(decoding, buffers[2])
    texts: list[object] = []
    for number in range(length):
        start, end = int(ends[number]), int(ends[number + 1])
        if not 0 <= start <= end <= len(data):
            raise CannotDecode("an Arrow text ends outside its buffer")
        texts.append(decoding.text(data[start:end].decode("utf-8")))
    return texts


def _timestamps(
    decoding: Decoding, buffers: list[object], length: int, offset: int, unit: object, zone: tzinfo | None
) -> list[object]:
    decoding.spend(length * TIME_CELLS * (1 if zone is None else 3))
    # A missing value has any count, so one that is no year becomes None and the bitmap decides.
    return [_timestamp(int(count), str(unit), zone) for count in _numbers(decoding, buffers[1], "q", length, offset)]


def _timestamp(count: int, unit: str, zone: tzinfo | None) -> str | None:
    try:
        return timestamp_text(count, unit, zone)
    except (CannotDecode, OverflowError):
        return None


def _durations(decoding: Decoding, buffers: list[object], length: int, offset: int, unit: object) -> list[object]:
    return [seconds(int(count), str(unit)) for count in _numbers(decoding, buffers[1], "q", length, offset)]
