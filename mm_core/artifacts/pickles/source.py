"""The arguments of a pickle's instructions, read within bounds."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from mm_core.artifacts.pickles.nodes import PickleLimits
from mm_core.artifacts.pickles.refusals import broken, too_large

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_SIMPLE_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_WHOLE_NUMBER = re.compile(rb"[+-]?[0-9]+\Z")

_unpack_u16 = struct.Struct("<H").unpack_from
_unpack_i32 = struct.Struct("<i").unpack_from
_unpack_u32 = struct.Struct("<I").unpack_from
_unpack_u64 = struct.Struct("<Q").unpack_from
_unpack_f64 = struct.Struct(">d").unpack_from


class Source:
    """The bytes of a pickle and a position in them; every read checks that the bytes are there before it takes them."""

    def __init__(self, data: bytes, limits: PickleLimits) -> None:
        self._data = data
        self._size = len(data)
        self._limits = limits
        self.position = 0

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        start = self.position
        end = start + size
        if end > self._size:
            raise broken(f"at byte {start} it promises {size} more bytes and has {self._size - start}")
        self.position = end
        return self._data[start:end]

    def skip_frame(self) -> None:
        """Check that an announced frame is there; its content is read like everything else."""
        size = self.u64()
        if size > self._size - self.position:
            raise broken(f"at byte {self.position} it promises a frame of {size} bytes")

    def line(self) -> bytes:
        """Return the bytes up to the next line feed."""
        start = self.position
        end = self._data.find(b"\n", start, start + self._limits.line_bytes)
        if end < 0:
            raise broken(f"the line at byte {start} has no end")
        self.position = end + 1
        return self._data[start:end]

    def name(self) -> str:
        """Return a module or attribute name from a line of text."""
        return self.checked_name(self._as_utf8(self.line()))

    def checked_name(self, name: object) -> str:
        """Return ``name`` when it is text of a name's length."""
        if not isinstance(name, str):
            raise broken("a name is not text")
        if len(name) > self._limits.name_characters:
            raise too_large(f"a name has {len(name)} characters")
        return name

    def u8(self) -> int:
        """Return an unsigned byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Return an unsigned number of 2 bytes."""
        self._need(2)
        value: int = _unpack_u16(self._data, self.position - 2)[0]
        return value

    def i32(self) -> int:
        """Return a signed number of 4 bytes."""
        self._need(4)
        value: int = _unpack_i32(self._data, self.position - 4)[0]
        return value

    def u32(self) -> int:
        """Return an unsigned number of 4 bytes."""
        self._need(4)
        value: int = _unpack_u32(self._data, self.position - 4)[0]
        return value

    def float64(self) -> float:
        """Return a big-endian double."""
        self._need(8)
        value: float = _unpack_f64(self._data, self.position - 8)[0]
        return value

    def float_line(self) -> float:
        """Return a number written as a line of text."""
        text = self.line()
        try:
            return float(text[:64]) if len(text) <= 64 else float("x")
        except ValueError:
            raise broken("a number written as text is none") from None

    def integer_line(self) -> int | bool:
        """Return what INT and LONG write as text: an integer, or ``00`` and ``01`` for the two booleans."""
        text = self.line()
        if text in (b"00", b"01"):
            return text == b"01"
        text = text.removesuffix(b"L")
        # 2.4 digits a byte; int() takes time that grows with the square of the digits.
        if len(text) > self._limits.integer_bytes * 12 // 5:
            raise too_large(f"an integer has {len(text)} digits")
        if not _WHOLE_NUMBER.match(text):
            raise broken("an integer written as text is none")
        return int(text)

    def index_line(self) -> int:
        """Return a memo index that is written as text."""
        text = self.line()
        if not text.isdigit() or len(text) > 10:
            raise broken("a memo index is no number")
        return int(text)

    def integer(self, size: int) -> int:
        """Return a little-endian signed integer of ``size`` bytes."""
        if size < 0:
            raise broken("an integer has a negative length")
        if size > self._limits.integer_bytes:
            raise too_large(f"an integer has {size} bytes")
        return int.from_bytes(self.take(size), "little", signed=True)

    def sized(self, length: Callable[[], int]) -> bytes:
        """Return bytes behind their length."""
        return self.take(length())

    def text(self, length: Callable[[], int]) -> str:
        """Return UTF-8 text behind its length in bytes."""
        return self._as_utf8(self.take(length()))

    def escaped_text_line(self) -> str:
        """Return the text of UNICODE: a line with ``\\u`` escapes."""
        try:
            return self.line().decode("raw-unicode-escape")
        except UnicodeDecodeError:
            raise broken("a text has a bad escape") from None

    def quoted_line(self) -> str:
        """Return the text of STRING: a quoted byte string as Python 2 wrote it, taken as Latin-1."""
        line = self.line().strip()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            raise broken("a quoted text has no quotes")
        return _ESCAPE.sub(_unescaped, line[1:-1]).decode("latin-1")

    def signed_length(self) -> int:
        """Return a length of 4 bytes that older protocols sign."""
        length = self.i32()
        if length < 0:
            raise broken("a text has a negative length")
        return length

    def u64(self) -> int:
        self._need(8)
        value: int = _unpack_u64(self._data, self.position - 8)[0]
        return value

    def _need(self, size: int) -> None:
        self.position += size
        if self.position > self._size:
            raise broken("it ends in the middle of an instruction")

    @staticmethod
    def _as_utf8(data: bytes) -> str:
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise broken("a text is not UTF-8") from None


def _unescaped(match: re.Match[bytes]) -> bytes:
    hexadecimal, octal, simple = match.groups()
    if hexadecimal is not None:
        return bytes([int(hexadecimal, 16)])
    if octal is not None:
        return bytes([int(octal, 8) & 255])
    return _SIMPLE_ESCAPES.get(simple, simple)
