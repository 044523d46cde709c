"""The dialect of UBJSON that XGBoost writes, turned into JSON text without a value tree in between."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

from mm_core import strict_json
from mm_core.artifacts.pickles.float_text import float32_lists
from mm_core.artifacts.pickles.refusals import too_large
from mm_core.errors import UnreadableArtifact

MOST_LEVELS = 48
MOST_VALUES = 1_000_000
"""A tree has some 30 of them, by the count below."""

FLOAT_RUN_VALUES = 3
"""A run of float32 values, however short, takes as long as three other values."""

CHUNK_VALUES = 1 << 17
FLOATS_AT_ONCE = 1 << 20

_INTEGER_FORMATS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q"}
_SIZES = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8, b"d": 4, b"D": 8}
_INTEGERS = {tag: struct.Struct(f">{code}") for tag, code in _INTEGER_FORMATS.items()}
_LITERALS = {b"Z": b"null", b"T": b"true", b"F": b"false"}
_DOUBLE = struct.Struct(">d")


@dataclass(frozen=True, slots=True)
class JsonSpan:
    """JSON text of a document, and that of the entries of its outermost object."""

    whole: bytes
    entries: dict[str, bytes]


def ubjson_to_json(data: bytes | bytearray, wanted: frozenset[str]) -> JsonSpan:
    """Return UBJSON bytes as compact JSON text; ``wanted`` names the outermost entries to return by themselves.

    Objects and strings need lengths, typed arrays are ``[$`` type ``#`` count, numbers are big-endian. Raises
    `UnreadableArtifact` for anything else, for bytes after the end and for more than 48 levels.
    """
    return _Writer(bytes(data), wanted).document()


class _Writer:
    """Reads UBJSON from the front and appends JSON parts; float arrays are filled in later, many at once."""

    def __init__(self, data: bytes, wanted: frozenset[str]) -> None:
        self._data = data
        self._size = len(data)
        self._position = 0
        self._parts: list[bytes] = []
        self._wanted = wanted
        self._spans: dict[str, tuple[int, int]] = {}
        self._keys: dict[bytes, bytes] = {}
        self._places: list[int] = []
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._values = 0

    def document(self) -> JsonSpan:
        if self._take(1) != b"{":
            raise _broken(0, "it does not start with an object")
        self._object(1)
        if self._position != self._size:
            raise _broken(self._position, "something follows the end")
        self._fill_floats()
        entries = {name: b"".join(self._parts[start:end]) for name, (start, end) in self._spans.items()}
        return JsonSpan(b"" if entries else b"".join(self._parts), entries)

    def _take(self, size: int) -> bytes:
        start = self._position
        end = start + size
        if size < 0 or end > self._size:
            raise _broken(start, "it ends too early")
        self._position = end
        return self._data[start:end]

    def _length(self) -> int:
        tag = self._take(1)
        form = _INTEGERS.get(tag)
        if form is None:
            raise _broken(self._position - 1, "a length is no number")
        length: int = form.unpack(self._take(_SIZES[tag]))[0]
        if not 0 <= length <= self._size - self._position:
            raise _broken(self._position, "a length is larger than the rest")
        return length

    def _text(self) -> bytes:
        raw = self._take(self._length())
        try:
            return strict_json.encode(raw.decode("utf-8"))
        except UnicodeDecodeError:
            raise _broken(self._position, "a text is not UTF-8") from None

    def _value(self, tag: bytes, depth: int) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            raise too_large(f"its booster has more than {MOST_VALUES} values outside of arrays")
        if tag == b"[":
            self._array(depth + 1)
        elif tag == b"{":
            self._object(depth + 1)
        elif tag == b"S":
            self._parts.append(self._text())
        elif tag in _LITERALS:
            self._parts.append(_LITERALS[tag])
        elif tag in _INTEGERS:
            number: int = _INTEGERS[tag].unpack(self._take(_SIZES[tag]))[0]
            self._parts.append(b"%d" % number)
        elif tag == b"d":
            self._floats(self._take(4), b"")
        elif tag == b"D":
            self._parts.append(_number(_DOUBLE.unpack(self._take(8))[0]))
        else:
            raise _broken(self._position - 1, "a value is of no known type")

    def _object(self, depth: int) -> None:
        if depth > MOST_LEVELS:
            raise _broken(self._position, f"it nests deeper than {MOST_LEVELS} levels")
        parts = self._parts
        opening = b"{"
        while self._peek() != b"}":
            parts.append(opening)
            opening = b","
            name = self._key()
            start = len(parts)
            self._value(self._take(1), depth)
            if depth == 1 and name in self._wanted:
                if name in self._spans:
                    raise _broken(self._position, f"it has '{name}' twice")
                self._spans[name] = (start, len(parts))
        self._position += 1
        parts.append(b"{}" if opening == b"{" else b"}")

    def _key(self) -> str:
        raw = self._take(self._length())
        written = self._keys.get(raw)
        if written is None:
            try:
                written = strict_json.encode(raw.decode("utf-8")) + b":"
            except UnicodeDecodeError:
                raise _broken(self._position, "a key is not UTF-8") from None
            if len(self._keys) < 1000:
                self._keys[raw] = written
        self._parts.append(written)
        return raw.decode("utf-8") if len(raw) < 32 else ""

    def _array(self, depth: int) -> None:
        if depth > MOST_LEVELS:
            raise _broken(self._position, f"it nests deeper than {MOST_LEVELS} levels")
        tag = self._peek()
        if tag == b"$":
            self._position += 1
            self._typed_array()
            return
        parts = self._parts
        count = None
        if tag == b"#":
            self._position += 1
            count = self._length()
        opening = b"["
        while count != 0 if count is not None else self._peek() != b"]":
            parts.append(opening)
            opening = b","
            self._value(self._take(1), depth)
            if count is not None:
                count -= 1
        if count is None:
            self._position += 1
        parts.append(b"[]" if opening == b"[" else b"]")

    def _typed_array(self) -> None:
        tag = self._take(1)
        if tag not in _SIZES or self._take(1) != b"#":
            raise _broken(self._position, "a typed array has no usable type")
        size = _SIZES[tag]
        remaining = self._length()
        if not remaining:
            self._parts.append(b"[]")
            return
        separator = b"["
        while remaining:
            count = min(remaining, CHUNK_VALUES)
            raw = self._take(count * size)
            remaining -= count
            if tag == b"d":
                self._floats(raw, separator)
            elif tag == b"D":
                numbers = struct.unpack(f">{count}d", raw)
                self._parts.append(separator + b",".join(_number(number) for number in numbers))
            else:
                whole = struct.unpack(f">{count}{_INTEGER_FORMATS[tag]}", raw)
                self._parts.append(separator + strict_json.encode(whole)[1:-1])
            separator = b","
        self._parts.append(b"]")

    def _floats(self, raw: bytes, before: bytes) -> None:
        """Leave room for the text of float32 values; ``before`` is written in front of it."""
        self._values += FLOAT_RUN_VALUES
        self._parts.append(before)
        self._places.append(len(self._parts))
        self._parts.append(b"")
        self._chunks.append(raw)
        self._waiting += len(raw) // 4
        if self._waiting >= FLOATS_AT_ONCE:
            self._fill_floats()

    def _fill_floats(self) -> None:
        if not self._chunks:
            return
        for place, text in zip(self._places, float32_lists(self._chunks), strict=True):
            self._parts[place] = text[1:-1]
        self._places, self._chunks, self._waiting = [], [], 0

    def _peek(self) -> bytes:
        if self._position >= self._size:
            raise _broken(self._position, "it ends too early")
        return self._data[self._position : self._position + 1]


def _number(value: float) -> bytes:
    return json.dumps(value).encode("ascii")


def _broken(position: int, detail: str) -> UnreadableArtifact:
    return UnreadableArtifact(
        "broken-pickle",
        f"The booster's bytes are damaged at byte {position}: {detail}.",
        "Save the model again with booster.save_model('X_model.json').",
    )
