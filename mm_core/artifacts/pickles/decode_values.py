"""Which decoder reads which name, and the decoders of the standard library's values."""

from __future__ import annotations

from mm_core.artifacts.pickles.decode_columns import EXTENSION_ARRAYS
from mm_core.artifacts.pickles.decode_numpy import decode_array, decode_scalar
from mm_core.artifacts.pickles.decode_pandas import (
    decode_extension_array,
    decode_frame,
    decode_index,
    decode_missing,
    decode_series,
    decode_span,
    decode_timestamp,
)
from mm_core.artifacts.pickles.decode_times import decode_date, decode_datetime, decode_time, decode_timedelta
from mm_core.artifacts.pickles.decoding import BYTES_PER_CELL, CannotDecode, Decoder, Decoding, decoded_buffer
from mm_core.artifacts.pickles.nodes import Call, Items, Pairs, PickleLimits


def _decode_mapping(decoding: Decoding, call: Call) -> dict[str, object]:
    """Return an ordered, counting or defaulting dict: Python 3 sets its items, old protocols pass them."""
    decoding.spend(len(call.pairs))
    pairs = list(call.pairs)
    if call.arguments and call.path != "collections.defaultdict":
        pairs += _pairs_of(decoding, call.arguments[0])
    return decoding.plain_dict(pairs)


def _pairs_of(decoding: Decoding, node: object) -> list[tuple[object, object]]:
    if isinstance(node, Pairs):
        return node.entries
    if not isinstance(node, (list, tuple)):
        raise CannotDecode("a dict is made of no pairs")
    decoding.spend(len(node))
    pairs = [(pair[0], pair[1]) for pair in node if isinstance(pair, (list, tuple)) and len(pair) == 2]
    if len(pairs) != len(node):
        raise CannotDecode("a dict is made of no pairs")
    return pairs


def _decode_sequence(decoding: Decoding, call: Call) -> list[object]:
    """Return a set, list, tuple or deque: its items come with the call, after it, or both."""
    first = call.arguments[0] if call.arguments else []
    if isinstance(first, Items):
        first = first.entries
    if not isinstance(first, (list, tuple)):
        raise CannotDecode("a sequence is made of no items")
    decoding.spend(len(first) + len(call.items))
    return decoding.plain_list([*first, *call.items])


def _decode_decimal(decoding: Decoding, call: Call) -> str:
    """Return the text of a `Decimal`, `UUID` or `Fraction`, which their pickles hold as it is."""
    text = call.arguments[0]
    if len(call.arguments) != 1 or not isinstance(text, str):
        raise CannotDecode("a decimal is no text")
    return decoding.text(text)


def _decode_path(decoding: Decoding, call: Call) -> str:
    """Return a path as text, from the parts that its pickle holds."""
    parts = [part for part in call.arguments if isinstance(part, str)]
    if len(parts) != len(call.arguments):
        raise CannotDecode("a path is no text")
    separator = "\\" if "Windows" in call.path else "/"
    decoding.spend(sum(map(len, parts)) // 64)
    joined = ""
    for part in parts:
        joined += part if not joined or joined.endswith(separator) else separator + part
    return decoding.text(joined or ".")


def _decode_complex(decoding: Decoding, call: Call) -> str:
    """Return a complex number as Python writes it."""
    real, imaginary = call.arguments
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise CannotDecode("a complex number is no numbers")
    return decoding.text(str(complex(real, imaginary)))


def _decode_bytes(decoding: Decoding, call: Call) -> str:
    """Return bytes as Python writes them."""
    data = bytes(decoded_buffer(decoding, call))
    decoding.spend(len(data) // BYTES_PER_CELL)
    return repr(data)


def _decode_namespace(decoding: Decoding, call: Call) -> dict[str, object]:
    """Return the attributes of a namespace as a dict."""
    if not isinstance(call.state, Pairs):
        raise CannotDecode("a namespace has no attributes")
    return decoding.plain_dict(call.state.entries)


DECODERS: dict[str, Decoder] = {
    "_codecs.encode": _decode_bytes,
    "argparse.Namespace": _decode_namespace,
    "builtins.bytearray": _decode_bytes,
    "builtins.bytes": _decode_bytes,
    "builtins.complex": _decode_complex,
    "builtins.frozenset": _decode_sequence,
    "builtins.list": _decode_sequence,
    "builtins.set": _decode_sequence,
    "builtins.tuple": _decode_sequence,
    "collections.Counter": _decode_mapping,
    "collections.OrderedDict": _decode_mapping,
    "collections.defaultdict": _decode_mapping,
    "collections.deque": _decode_sequence,
    "builtins.dict": _decode_mapping,
    "datetime.date": decode_date,
    "datetime.datetime": decode_datetime,
    "datetime.time": decode_time,
    "datetime.timedelta": decode_timedelta,
    "decimal.Decimal": _decode_decimal,
    "fractions.Fraction": _decode_decimal,
    **dict.fromkeys([f"pathlib.{name}" for name in ("Path", "PosixPath", "PurePath", "PurePosixPath")], _decode_path),
    "pathlib.PureWindowsPath": _decode_path,
    "pathlib.WindowsPath": _decode_path,
    "types.SimpleNamespace": _decode_namespace,
    "numpy.core.multiarray._reconstruct": decode_array,
    "numpy.core.multiarray.scalar": decode_scalar,
    "numpy.core.numeric._frombuffer": decode_array,
    "pandas.DataFrame": decode_frame,
    "pandas.Series": decode_series,
    "pandas._new_Index": decode_index,
    "pandas._new_DatetimeIndex": decode_index,
    "pandas._new_TimedeltaIndex": decode_index,
    "pandas.Timestamp": decode_timestamp,
    "pandas._unpickle_timestamp": decode_timestamp,
    "pandas.Timedelta": decode_span,
    "pandas._timedelta_unpickle": decode_span,
    "pandas.__nat_unpickle": decode_missing,
    "pandas._nat_unpickle": decode_missing,
    "pandas.NAType": decode_missing,
    **dict.fromkeys(EXTENSION_ARRAYS, decode_extension_array),
}
"""Decoders by canonical name; a known name without one is an unsupported value."""


def new_decoding(limits: PickleLimits) -> Decoding:
    """Return a walk that reads every kind of value this room knows."""
    return Decoding(limits, DECODERS)
