"""Pickles put together by hand, instruction by instruction, and what the attacks do when somebody runs them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

HARM = "harm-was-done"
"""The file that a payload leaves in the current directory of whoever runs it."""

COMMAND = f"touch {HARM}"
CODE = f"open({HARM!r}, 'w').close()"


class Answer(Enum):
    """What a reader has to say to an attack."""

    UNSAFE = "the finding unsafe-pickle"
    REFUSED = "a finding instead of a value"
    HARMLESS = "plain data, with 'unsupported value' for whatever would have been made by a call"
    ANY = "either, for honest files with a damage"


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile file, and the answer that each of the two readers owes.

    ``runs`` says that ``pickle.loads`` of Python itself carries out the payload; ``config`` is what an info's key
    ``config`` must be read as where the answer is `Answer.HARMLESS` (None: any plain data).
    """

    name: str
    data: bytes
    info: Answer
    model: Answer
    runs: bool = False
    config: object = None


def unsafe(name: str, data: bytes, *, runs: bool = False) -> Attack:
    """Return an attack that both readers must call unsafe."""
    return Attack(name, data, Answer.UNSAFE, Answer.UNSAFE, runs=runs)


def refused(name: str, data: bytes, *, runs: bool = False) -> Attack:
    """Return an attack that both readers must refuse."""
    return Attack(name, data, Answer.REFUSED, Answer.REFUSED, runs=runs)


def harmless(name: str, data: bytes, config: object = None, *, runs: bool = False) -> Attack:
    """Return an attack whose charge is not read, so that the rest of the info is; it is no model."""
    return Attack(name, data, Answer.HARMLESS, Answer.REFUSED, runs=runs, config=config)


def bounded(name: str, data: bytes) -> Attack:
    """Return a bomb that may end in a finding or in small plain data: what counts is its cost."""
    return Attack(name, data, Answer.ANY, Answer.REFUSED)


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def data(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return (b"\x8a" + bytes([len(raw)]) if len(raw) < 256 else b"\x8b" + struct.pack("<i", len(raw))) + raw


def real(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def name(module: str, attribute: str) -> bytes:
    """A name by GLOBAL."""
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def stacked(module: str, attribute: str) -> bytes:
    """A name by STACK_GLOBAL."""
    return text(module) + text(attribute) + b"\x93"


def tuple_of(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def list_of(*parts: bytes) -> bytes:
    return b"](" + b"".join(parts) + b"e"


def dict_of(**entries: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


def built(function: bytes, arguments: tuple[bytes, ...], state: bytes) -> bytes:
    """A call by REDUCE, and BUILD with ``state`` after it."""
    return call(function, *arguments) + state + b"b"


def whole(value: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + value + b"."


def entry(value: bytes, key: str = "config") -> bytes:
    """A pickled dict with one entry, whose value is what ``value`` pushes."""
    return b"\x80\x04}" + text(key) + value + b"s."


def info(**entries: bytes) -> bytes:
    """A pickled dict with several entries."""
    return whole(dict_of(**entries))


DATE = name("datetime", "date")
ENCODE = name("_codecs", "encode")
GETATTR = name("builtins", "getattr")
SYSTEM = name("os", "system")
RUN = SYSTEM + text(COMMAND) + b"\x85R"

DTYPE_STATE = b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
RECONSTRUCT = name("numpy.core.multiarray", "_reconstruct")
NDARRAY = name("numpy", "ndarray")
FRAME = name("pandas.core.frame", "DataFrame")
NEW_INDEX = name("pandas.core.indexes.base", "_new_Index")


def dtype(kind: str, state: bytes = DTYPE_STATE) -> bytes:
    return name("numpy", "dtype") + text(kind) + b"\x89\x88\x87R" + state + b"b"


def array(kind: str, shape: bytes, content: bytes, flag: bytes = b"\x89", state: bytes = DTYPE_STATE) -> bytes:
    """An array as NumPy pickles it; ``shape`` and ``content`` are instructions."""
    made = RECONSTRUCT + NDARRAY + b"K\x00\x85C\x01b\x87R"
    return made + b"(K\x01" + shape + dtype(kind, state) + flag + content + b"tb"


def counted(size: int) -> bytes:
    """A range index of ``size`` labels."""
    return call(
        NEW_INDEX,
        name("pandas.core.indexes.range", "RangeIndex"),
        dict_of(name=b"N", start=b"K\x00", stop=number(size), step=b"K\x01"),
    )


def labels(*values: str) -> bytes:
    """An index of texts."""
    content = array("O8", b"K" + bytes([len(values)]) + b"\x85", list_of(*map(text, values)))
    return index_of(content)


def index_of(content: bytes, kind: str = "Index") -> bytes:
    return call(
        NEW_INDEX,
        name("pandas.core.indexes.base", kind),
        dict_of(data=content, name=b"N"),
    )


def block(content: bytes, placement: bytes, dimensions: int = 2) -> bytes:
    return call(name("pandas._libs.internals", "_unpickle_block"), content, placement, b"K" + bytes([dimensions]))


def columns_from(start: int, stop: int) -> bytes:
    return call(name("builtins", "slice"), number(start), number(stop), b"K\x01")


def frame(columns: bytes, rows: bytes, *blocks: bytes) -> bytes:
    """A frame as pandas from 1.3 pickles it."""
    manager = call(name("pandas.core.internals.managers", "BlockManager"), tuple_of(*blocks), list_of(columns, rows))
    return FRAME + b")\x81" + dict_of(_mgr=manager) + b"b"


def categorical(meanings: bytes, codes: bytes) -> bytes:
    dtype_of = call(name("pandas.core.dtypes.dtypes", "CategoricalDtype"), meanings, b"\x89")
    state = dict_of(_dtype=dtype_of, _codes=codes)
    return name("pandas.core.arrays.categorical", "Categorical") + b")\x81" + state + b"b"


def arrow_type(alias: str) -> bytes:
    return call(name("pyarrow.lib", "type_for_alias"), text(alias))


BOOSTER = name("xgboost.core", "Booster") + b")\x81"


def booster(handle: bytes, **attributes: bytes) -> bytes:
    """A pickled Booster; ``handle`` is instructions."""
    return whole(BOOSTER + dict_of(**attributes, handle=handle) + b"b")
