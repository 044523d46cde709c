"""NumPy's arrays and scalars, of 1.x and 2.x, from the bytes of their pickles; NumPy itself is not needed."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from math import prod

from mm_core.artifacts.pickles.decode_times import NOT_A_TIME, numpy_time_text, seconds
from mm_core.artifacts.pickles.decoding import TIME_CELLS, CannotDecode, Decoding, decoded_buffer
from mm_core.artifacts.pickles.nodes import Call

MOST_DIMENSIONS = 16

_CODES = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "c8": "f",
    "c16": "d",
    "M8": "q",
    "m8": "q",
}
_TEXT_TYPE = re.compile(r"([US])([0-9]{1,9})\Z")


@dataclass(frozen=True, slots=True)
class ArrayType:
    """A NumPy dtype: ``kind`` as NumPy letters it, bytes of an item, byte order, unit and step of times."""

    kind: str
    item_bytes: int
    code: str
    big_endian: bool
    unit: str = ""
    step: int = 1


@dataclass(frozen=True, slots=True)
class Array:
    """A decoded array: raw values in C order; object arrays hold nodes, times hold counts."""

    type: ArrayType
    shape: tuple[int, ...]
    values: list[object]


def array_type_of(decoding: Decoding, node: object) -> ArrayType:
    """Return the dtype that ``numpy.dtype(...)`` with its state describes."""
    if not isinstance(node, Call) or node.path != "numpy.dtype" or not isinstance(node.arguments[0], str):
        raise CannotDecode("a dtype is of no known kind")
    decoding.spend(1)
    name = node.arguments[0]
    state = node.state if isinstance(node.state, tuple) else ()
    order = state[1] if len(state) > 1 else "|"
    big_endian = isinstance(order, str) and order == ">"
    if name[:1] == "O":
        return ArrayType("O", 0, "", False)
    text = _TEXT_TYPE.match(name)
    if text is not None:
        kind, length = text[1], int(text[2])
        return ArrayType(kind, length * (4 if kind == "U" else 1), "", big_endian)
    if name not in _CODES:
        raise CannotDecode(f"arrays of dtype '{name[:16]}' are not read")
    kind = name[0]
    unit, step = _unit_of(decoding, state) if kind in "Mm" else ("", 1)
    return ArrayType(kind, int(name[1:]), _CODES[name], big_endian, unit, step)


def _unit_of(decoding: Decoding, state: tuple[object, ...]) -> tuple[str, int]:
    """Return unit and step of a time dtype, whose state ends in ``(metadata, (unit, step, divisor, events))``."""
    if len(state) < 9 or not isinstance(state[8], tuple):
        raise CannotDecode("a time dtype has no unit")
    unit, step = state[8][1][0], state[8][1][1]
    if not isinstance(unit, str):
        unit = decoded_buffer(decoding, unit).decode("ascii")
    if not isinstance(step, int) or not 0 < step < 1 << 31:
        raise CannotDecode("a time dtype has no step")
    return unit, step


def array_of(decoding: Decoding, node: object) -> Array:
    """Return the array that ``_reconstruct`` with its state, or ``_frombuffer``, describes."""
    if not isinstance(node, Call):
        raise CannotDecode("an array is of no known kind")
    if node.path == "numpy.core.numeric._frombuffer":
        buffer, dtype, shape, order, *axes = node.arguments
        return _from_buffer(decoding, buffer, dtype, _shape_of(shape), order, axes[0] if axes else None)
    if node.path != "numpy.core.multiarray._reconstruct" or not isinstance(node.state, tuple):
        raise CannotDecode("an array is of no known kind")
    _, shape, dtype, is_fortran, content = node.state
    array_type, wanted = array_type_of(decoding, dtype), _shape_of(shape)
    if array_type.kind == "O":
        if not isinstance(content, list):
            raise CannotDecode("an object array holds no list")
        decoding.spend(len(content))
        values: list[object] = list(content)
    else:
        values = _values_of(decoding, decoded_buffer(decoding, content), array_type)
    if prod(wanted) != len(values):
        raise CannotDecode("an array has another size than its shape")
    # The list of an object array is in C order whatever the flag says.
    if is_fortran is True and len(wanted) > 1 and array_type.kind != "O":
        values = _c_order(decoding, values, wanted)
    return Array(array_type, wanted, values)


def _from_buffer(
    decoding: Decoding, buffer: object, dtype: object, shape: tuple[int, ...], order: object, axes: object
) -> Array:
    array_type = array_type_of(decoding, dtype)
    values = _values_of(decoding, decoded_buffer(decoding, buffer), array_type)
    if prod(shape) != len(values):
        raise CannotDecode("an array has another size than its shape")
    if order == "F":
        return Array(array_type, shape, _c_order(decoding, values, shape))
    if order == "K" and isinstance(axes, (tuple, list)):
        return _transposed(decoding, Array(array_type, shape, values), _shape_of(tuple(axes)))
    return Array(array_type, shape, values)


def _transposed(decoding: Decoding, array: Array, axes: tuple[int, ...]) -> Array:
    if sorted(axes) != list(range(len(array.shape))):
        raise CannotDecode("the axes of an array are no order")
    decoding.spend(len(array.values))
    if not array.values:
        return Array(array.type, tuple(array.shape[axis] for axis in axes), [])
    strides = [prod(array.shape[axis + 1 :]) for axis in range(len(array.shape))]
    places = [0]
    for axis in axes:
        places = [place + step * strides[axis] for place in places for step in range(array.shape[axis])]
    return Array(array.type, tuple(array.shape[axis] for axis in axes), [array.values[place] for place in places])


def _c_order(decoding: Decoding, values: list[object], shape: tuple[int, ...]) -> list[object]:
    backwards = Array(ArrayType("O", 0, "", False), shape[::-1], values)
    return _transposed(decoding, backwards, tuple(reversed(range(len(shape))))).values


def _shape_of(node: object) -> tuple[int, ...]:
    if not isinstance(node, tuple) or len(node) > MOST_DIMENSIONS:
        raise CannotDecode("a shape is no tuple")
    sizes = tuple(size for size in node if isinstance(size, int) and 0 <= size < 1 << 40)
    if len(sizes) != len(node):
        raise CannotDecode("a shape is no sizes")
    return sizes


def _values_of(decoding: Decoding, data: bytes | bytearray, array_type: ArrayType) -> list[object]:
    size = array_type.item_bytes
    count, rest = divmod(len(data), size) if size else (0, len(data))
    if rest:
        raise CannotDecode("an array has bytes that make no value")
    decoding.spend(count)
    if array_type.kind == "S":
        decoding.spend(len(data) // 16)
        return [bytes(data[at : at + size]).rstrip(b"\0") for at in range(0, len(data), size)]
    order = ">" if array_type.big_endian else "<"
    if array_type.kind == "U":
        decoding.spend(len(data) // 64)
        codec = "utf-32-be" if array_type.big_endian else "utf-32-le"
        return [data[at : at + size].decode(codec, "surrogatepass").rstrip("\0") for at in range(0, len(data), size)]
    if array_type.kind == "c":
        parts = struct.unpack(f"{order}{2 * count}{array_type.code}", data)
        return [complex(real, imaginary) for real, imaginary in zip(parts[::2], parts[1::2], strict=True)]
    return list(struct.unpack(f"{order}{count}{array_type.code}", data))


def plain_value(decoding: Decoding, array_type: ArrayType, value: object) -> object:
    """Return one raw value of an array as plain data: times as NumPy writes them, spans in seconds."""
    if array_type.kind in "Mm" and isinstance(value, int):
        decoding.spend(TIME_CELLS)
        if value == NOT_A_TIME:
            return None
        convert = numpy_time_text if array_type.kind == "M" else seconds
        return convert(value * array_type.step, array_type.unit)
    if isinstance(value, complex):
        decoding.spend(1)
        return str(value)
    return decoding.plain(value)


def decode_array(decoding: Decoding, call: Call) -> object:
    """Return an array as nested lists, one without dimensions as its value."""
    array = array_of(decoding, call)
    if not array.values and array.shape:
        return [] if array.shape[0] == 0 else _nested(decoding, iter(()), array.shape)
    values = (plain_value(decoding, array.type, value) for value in array.values)
    return _nested(decoding, values, array.shape)


def _nested(decoding: Decoding, values: object, shape: tuple[int, ...]) -> object:
    if not shape:
        return next(values)  # type: ignore[call-overload]
    decoding.spend(shape[0])
    return [_nested(decoding, values, shape[1:]) for _ in range(shape[0])]


def decode_scalar(decoding: Decoding, call: Call) -> object:
    """Return a NumPy scalar: a dtype and the bytes of one value, or the value itself for objects."""
    dtype, content = call.arguments
    array_type = array_type_of(decoding, dtype)
    if array_type.kind == "O":
        return decoding.plain(content)
    if array_type.item_bytes == 0:
        return ""
    values = _values_of(decoding, decoded_buffer(decoding, content), array_type)
    if len(values) != 1:
        raise CannotDecode("a scalar has not one value")
    return plain_value(decoding, array_type, values[0])


def whole_numbers(array: Array) -> list[int]:
    """Return the values of an integer array."""
    if array.type.kind not in "iu":
        raise CannotDecode("an array is no whole numbers")
    return [value for value in array.values if isinstance(value, int)]
