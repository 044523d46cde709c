"""How inert nodes become plain Python data, within a budget.

A decoder knows the shape that one library gives its pickles. `Decoding` walks the nodes, asks the decoders, and spends
one cell for every value it hands out, so that a file which repeats itself ("billion laughs") ends early.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import TypeVar

from mm_core.artifacts.pickles.nodes import Call, Global, Items, Pairs, PickleLimits
from mm_core.artifacts.pickles.refusals import too_large

UNSUPPORTED = "unsupported value"
"""What stands in the place of a value that no decoder reads."""

CHARACTERS_PER_CELL = 16
"""Text that is written as JSON may take six bytes a character, and a cell stands for some hundred bytes."""

BYTES_PER_CELL = 8
"""Bytes are written as Python writes them, four characters a byte and more in JSON."""

BUFFER_BYTES_PER_CELL = 64
BITS_PER_CELL = 64
CALL_CELLS = 6
TIME_CELLS = 6
"""What a decoder's work and a time's text cost beside the values: a cell is some 0.3 microseconds."""


class CannotDecode(Exception):
    """A part of a pickle has a shape that no decoder knows; it never leaves this room."""


Decoded = TypeVar("Decoded")
Decoder = Callable[["Decoding", Call], object]

_SHAPE_ERRORS = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, struct.error)
"""What a decoder meets when a hostile file gives a known name an unknown shape."""


class Decoding:
    """One walk through the nodes of a file: its budget, and what could not be said in plain data."""

    def __init__(self, limits: PickleLimits, decoders: Mapping[str, Decoder]) -> None:
        self._cells = limits.cells
        self._limits = limits
        self._decoders = decoders
        self._depth = 0
        self.zones: dict[str, tzinfo | None] = {}
        self.not_finite = 0
        self.unsupported = 0
        self.repaired = 0

    def spend(self, cells: int) -> None:
        """Take ``cells`` from the budget; raise `UnreadableArtifact` when it is used up."""
        self._cells -= cells
        if self._cells < 0:
            raise too_large(f"it describes more than {self._limits.cells} values")

    def forget_problems(self) -> None:
        """Start counting anew, for the next key."""
        self.not_finite = self.unsupported = self.repaired = 0

    def plain(self, node: object) -> object:
        """Return ``node`` as text, numbers, lists and dicts with text keys, all of which JSON can say."""
        if node is None:
            self.spend(1)
            return node
        if isinstance(node, int):
            self.spend(1 + node.bit_length() // BITS_PER_CELL)
            return node
        if isinstance(node, float):
            return self.number(node)
        if isinstance(node, str):
            return self.text(node)
        return self.deeper(lambda: self._plain_container(node))

    def deeper(self, decode: Callable[[], Decoded]) -> Decoded:
        """Return what ``decode`` returns, one level down; a file that nests, or holds itself, ends at the deepest."""
        if self._depth >= self._limits.depth:
            raise too_large(f"its values nest deeper than {self._limits.depth}")
        self._depth += 1
        try:
            return decode()
        finally:
            self._depth -= 1

    def number(self, value: float) -> float | None:
        """Return ``value``, None when it is not finite; that is counted."""
        self.spend(1)
        if math.isfinite(value):
            return value
        self.not_finite += 1
        return None

    def text(self, value: str) -> str:
        """Return ``value`` with half surrogate pairs, which no UTF-8 can carry, replaced; that is counted."""
        self.spend(1 + len(value) // CHARACTERS_PER_CELL)
        if value.isascii():
            return value
        sound = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        self.repaired += sound != value
        return sound

    def plain_list(self, nodes: Sequence[object]) -> list[object]:
        """Return every node as plain data."""
        self.spend(len(nodes))
        return [self.plain(node) for node in nodes]

    def plain_dict(self, pairs: Sequence[tuple[object, object]]) -> dict[str, object]:
        """Return pairs as a dict with text keys."""
        self.spend(1 + len(pairs))
        return {self.key(key): self.plain(value) for key, value in pairs}

    def key(self, node: object) -> str:
        """Return a dict key or a label as text."""
        value = self.plain(node)
        if isinstance(value, int):
            self.spend(value.bit_length() // BITS_PER_CELL)  # the digits of a long integer take time
        return value if isinstance(value, str) else str(value)

    def chosen(self, meanings: Sequence[object], codes: Sequence[int]) -> list[object]:
        """Return the meaning of each code, None for negative ones; raise `IndexError` beyond the last.

        Every use of a meaning costs what it would cost by itself: it takes its place once in memory, and each time
        when it is written.
        """
        sizes = [written_cells(meaning) for meaning in meanings]
        self.spend(sum(sizes[code] for code in codes if code >= 0))
        return [meanings[code] if code >= 0 else None for code in codes]

    def unreadable(self) -> str:
        """Count a value that no decoder reads, and return what stands for it."""
        self.spend(1)
        self.unsupported += 1
        return UNSUPPORTED

    def field(self, node: object, *names: str) -> object:
        """Return the value of the first of ``names`` that a dict of the file has; raise `CannotDecode` otherwise."""
        if not isinstance(node, Pairs):
            raise CannotDecode("a state is no dict")
        self.spend(1 + len(node.entries))
        for name in names:
            for key, value in node.entries:
                if isinstance(key, str) and key == name:
                    return value
        raise CannotDecode(f"a state has no '{names[0]}'")

    def optional_field(self, node: object, *names: str) -> object:
        """Return what `field` does, None where it raises."""
        try:
            return self.field(node, *names)
        except CannotDecode:
            return None

    def attempt(self, decode: Callable[[], Decoded]) -> Decoded:
        """Return what ``decode`` returns; a shape that it does not know becomes `CannotDecode`."""
        try:
            return decode()
        except _SHAPE_ERRORS as error:
            raise CannotDecode(str(error)) from None

    def _plain_container(self, node: object) -> object:
        if isinstance(node, (list, tuple)):
            return self.plain_list(node)
        if isinstance(node, Pairs):
            return self.plain_dict(node.entries)
        if isinstance(node, Items):
            return self.plain_list(node.entries)
        if isinstance(node, (bytes, bytearray)):
            self.spend(1 + len(node) // BYTES_PER_CELL)
            return repr(bytes(node))
        if isinstance(node, Call):
            return self._decoded(node)
        if isinstance(node, Global) and node.known.path in ("pandas.NA", "pandas.NaT", "pyarrow.lib.NA"):
            self.spend(1)
            return None
        return self.unreadable()

    def _decoded(self, call: Call) -> object:
        self.spend(CALL_CELLS + len(call.arguments))
        decoder = self._decoders.get(call.path)
        if decoder is None:
            return self.unreadable()
        try:
            return self.attempt(lambda: decoder(self, call))
        except CannotDecode:
            return self.unreadable()


def written_cells(value: object) -> int:
    """Return what it costs to write a plain value once more."""
    if isinstance(value, str):
        return 1 + len(value) // CHARACTERS_PER_CELL
    if isinstance(value, int):
        return 1 + value.bit_length() // BITS_PER_CELL
    if isinstance(value, list):
        return 1 + sum(map(written_cells, value))
    if isinstance(value, dict):
        return 1 + sum(written_cells(key) + written_cells(held) for key, held in value.items())
    return 1


def decoded_buffer(decoding: Decoding, node: object) -> bytes | bytearray:
    """Return what `buffer_of` does, paid from the budget."""
    decoding.spend(1 + _buffer_size(node) // BUFFER_BYTES_PER_CELL)
    return buffer_of(node)


def _buffer_size(node: object) -> int:
    for _ in range(4):
        if isinstance(node, (bytes, bytearray, str)):
            return len(node)
        if not isinstance(node, Call) or not node.arguments:
            break
        node = node.arguments[0]
    return 0


def buffer_of(node: object) -> bytes | bytearray:
    """Return the bytes behind the ways in which protocols write them: as they are, or as a call around Latin-1 text."""
    for _ in range(4):
        if isinstance(node, (bytes, bytearray)):
            return node
        if not isinstance(node, Call) or node.state is not None:
            break
        arguments = node.arguments
        if node.path in ("builtins.bytes", "builtins.bytearray") and not arguments:
            return b""
        encoding = arguments[1] if len(arguments) == 2 else None
        if node.path in ("_codecs.encode", "builtins.bytearray") and encoding in ("latin1", "latin-1"):
            return _latin1(arguments[0])
        if node.path not in ("builtins.bytes", "builtins.bytearray", "pyarrow.lib.py_buffer") or len(arguments) != 1:
            break
        node = arguments[0]
    raise CannotDecode("a buffer is no bytes")


def _latin1(text: object) -> bytes:
    if not isinstance(text, str):
        raise CannotDecode("a buffer is no text")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise CannotDecode("a buffer is no Latin-1 text") from None
