"""The contents of one pandas block or index: NumPy arrays, and the arrays that pandas has of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

from mm_core.artifacts.pickles.decode_arrow import arrow_values
from mm_core.artifacts.pickles.decode_numpy import Array, array_of, plain_value, whole_numbers
from mm_core.artifacts.pickles.decode_times import NOT_A_TIME, timestamp_text, zone_of
from mm_core.artifacts.pickles.decoding import TIME_CELLS, CannotDecode, Decoding
from mm_core.artifacts.pickles.nodes import Call, Global, Pairs

_ARRAY_MAKERS = frozenset(["numpy.core.multiarray._reconstruct", "numpy.core.numeric._frombuffer"])


def row_lists(decoding: Decoding, content: object) -> list[list[object]]:
    """Return the columns of a block as plain values: a block keeps each of its columns as one row."""
    shape, values = _contents(decoding, content, None)
    if len(shape) == 1:
        return [values]
    if len(shape) != 2:
        raise CannotDecode("a block has more than two dimensions")
    count, rows = shape
    decoding.spend(count)
    return [values[number * rows : (number + 1) * rows] for number in range(count)]


def values_of(decoding: Decoding, content: object, zone: tzinfo | None) -> list[object]:
    """Return the plain values of one dimension; ``zone`` is that of times which say none themselves."""
    shape, values = _contents(decoding, content, zone)
    if len(shape) != 1:
        raise CannotDecode("an index has more than one dimension")
    return values


def _contents(decoding: Decoding, node: object, zone: tzinfo | None) -> tuple[tuple[int, ...], list[object]]:
    return decoding.deeper(lambda: _contents_here(decoding, node, zone))


def _contents_here(decoding: Decoding, node: object, zone: tzinfo | None) -> tuple[tuple[int, ...], list[object]]:
    if not isinstance(node, Call):
        raise CannotDecode("an array is of no known kind")
    if node.path in _ARRAY_MAKERS:
        return _from_array(decoding, array_of(decoding, node), zone)
    if node.path in ("pandas._new_Index", "pandas._new_DatetimeIndex", "pandas._new_TimedeltaIndex"):
        return _contents(decoding, decoding.field(node.arguments[1], "data"), zone)
    kind, parts = _parts(decoding, node)
    decode = _KINDS.get(kind)
    if decode is None:
        raise CannotDecode(f"'{kind}' is not read")
    return decode(decoding, parts)


def _parts(decoding: Decoding, call: Call) -> tuple[str, Pairs]:
    """Return the class of a pandas array and its attributes, whichever way its generation writes them."""
    if call.path != "pandas.__pyx_unpickle_NDArrayBacked":
        if not isinstance(call.state, Pairs):
            raise CannotDecode("a pandas array has no state")
        return call.path, call.state
    owner, _, *early = call.arguments
    state = call.state if isinstance(call.state, tuple) else early[0]
    if not isinstance(owner, Global) or not isinstance(state, tuple) or len(state) < 2:
        raise CannotDecode("a pandas array has no state")
    dtype, content = state[0], state[1]
    if isinstance(dtype, Call) and dtype.path in _ARRAY_MAKERS:
        dtype, content = content, dtype
    decoding.spend(1)
    return owner.known.path, Pairs([("_dtype", dtype), ("_ndarray", content)])


def _from_array(decoding: Decoding, array: Array, zone: tzinfo | None) -> tuple[tuple[int, ...], list[object]]:
    if array.type.kind != "M":
        return array.shape, [plain_value(decoding, array.type, value) for value in array.values]
    # Asking a zone for its offset takes longer than writing the time.
    decoding.spend(len(array.values) * TIME_CELLS * (1 if zone is None else 3))
    counts = [value if isinstance(value, int) else NOT_A_TIME for value in array.values]
    unit, step = array.type.unit, array.type.step
    return array.shape, [None if count == NOT_A_TIME else timestamp_text(count * step, unit, zone) for count in counts]


def _backing(decoding: Decoding, parts: Pairs) -> Array:
    return array_of(decoding, decoding.field(parts, "_ndarray", "_data"))


def _plain_array(decoding: Decoding, parts: Pairs) -> tuple[tuple[int, ...], list[object]]:
    return _from_array(decoding, _backing(decoding, parts), None)


def _text_array(decoding: Decoding, parts: Pairs) -> tuple[tuple[int, ...], list[object]]:
    """Return text values; whatever else stands among them (NA, NaN, None) is a missing one."""
    array = _backing(decoding, parts)
    return array.shape, [decoding.text(value) if isinstance(value, str) else None for value in array.values]


def _times(decoding: Decoding, parts: Pairs) -> tuple[tuple[int, ...], list[object]]:
    dtype = decoding.optional_field(parts, "_dtype")
    zone = None
    if isinstance(dtype, Call) and dtype.path == "pandas.DatetimeTZDtype":
        named = dtype.arguments[1] if len(dtype.arguments) > 1 else decoding.field(dtype.state, "tz")
        zone = zone_of(decoding, named, local=False)
    return _from_array(decoding, _backing(decoding, parts), zone)


def _masked(decoding: Decoding, parts: Pairs) -> tuple[tuple[int, ...], list[object]]:
    array = array_of(decoding, decoding.field(parts, "_data"))
    mask = array_of(decoding, decoding.field(parts, "_mask"))
    if mask.shape != array.shape:
        raise CannotDecode("a mask has another shape than its array")
    pairs = zip(array.values, mask.values, strict=True)
    return array.shape, [None if masked else plain_value(decoding, array.type, value) for value, masked in pairs]


def _categories(decoding: Decoding, parts: Pairs) -> tuple[tuple[int, ...], list[object]]:
    dtype = decoding.field(parts, "_dtype")
    if not isinstance(dtype, Call) or dtype.path != "pandas.CategoricalDtype":
        raise CannotDecode("a categorical has no categories")
    named = dtype.arguments[0] if dtype.arguments else decoding.field(dtype.state, "categories")
    meanings = _category_values(decoding, named)
    codes = array_of(decoding, decoding.field(parts, "_codes", "_ndarray"))
    return codes.shape, decoding.chosen(meanings, whole_numbers(codes))


def _category_values(decoding: Decoding, index: object) -> list[object]:
    if not isinstance(index, Call) or len(index.arguments) != 2:
        raise CannotDecode("a categorical has no categories")
    described = index.arguments[1]
    start, stop, step = (decoding.optional_field(described, name) for name in ("start", "stop", "step"))
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        counted = range(start, stop, step)
        decoding.spend(len(counted))
        return list(counted)
    zone = zone_of(decoding, decoding.optional_field(described, "tz"), local=False)
    return values_of(decoding, decoding.field(described, "data"), zone)


def _arrow(decoding: Decoding, parts: Pairs) -> tuple[tuple[int, ...], list[object]]:
    values = arrow_values(decoding, decoding.field(parts, "_pa_array", "_data"))
    return (len(values),), values


_Decode = Callable[[Decoding, Pairs], tuple[tuple[int, ...], list[object]]]

_KINDS: dict[str, _Decode] = {
    "pandas.Categorical": _categories,
    "pandas.DatetimeArray": _times,
    "pandas.TimedeltaArray": _plain_array,
    "pandas.IntegerArray": _masked,
    "pandas.FloatingArray": _masked,
    "pandas.BooleanArray": _masked,
    "pandas.StringArray": _text_array,
    "pandas.StringArrayNumpySemantics": _text_array,
    "pandas.PandasArray": _plain_array,
    "pandas.NumpyExtensionArray": _plain_array,
    "pandas.ArrowStringArray": _arrow,
    "pandas.ArrowStringArrayNumpySemantics": _arrow,
    "pandas.ArrowExtensionArray": _arrow,
}

EXTENSION_ARRAYS = (*_KINDS, "pandas.__pyx_unpickle_NDArrayBacked")
"""The canonical names under which a pandas array of its own is written."""
