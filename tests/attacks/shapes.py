"""Honest names whose arguments and states have a shape that no library writes: what decoders must survive."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.attacks.assembling import (
    NDARRAY,
    RECONSTRUCT,
    Attack,
    array,
    block,
    bounded,
    built,
    call,
    categorical,
    columns_from,
    counted,
    data,
    dict_of,
    dtype,
    entry,
    frame,
    labels,
    list_of,
    name,
    number,
    real,
    text,
    tuple_of,
)

CONSTRUCTORS = [
    "builtins.bytes",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.dict",
    "builtins.frozenset",
    "builtins.list",
    "builtins.set",
    "builtins.tuple",
    "_codecs.encode",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.deque",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "decimal.Decimal",
    "fractions.Fraction",
    "types.SimpleNamespace",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.PureWindowsPath",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "pandas.DataFrame",
    "pandas.Series",
    "pandas._new_Index",
    "pandas._new_DatetimeIndex",
    "pandas.Timestamp",
    "pandas._unpickle_timestamp",
    "pandas.Timedelta",
    "pandas._timedelta_unpickle",
    "pandas._nat_unpickle",
    "pandas.Categorical",
    "pandas.DatetimeArray",
    "pandas.IntegerArray",
    "pandas.StringArray",
    "pandas.ArrowStringArray",
    "pandas.ArrowExtensionArray",
    "pandas.__pyx_unpickle_NDArrayBacked",
    "pandas.BlockManager",
    "pyarrow.lib._restore_array",
    "pyarrow.lib.chunked_array",
    "zoneinfo.ZoneInfo",
    "pytz._p",
    "pytz.FixedOffset",
    "dateutil.tz.tzoffset",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBRegressor",
]


def of_every_constructor() -> Iterator[Attack]:
    """Each name that a decoder reads, with arguments and states of every wrong kind."""
    wrong = {
        "nothing": (),
        "None": (b"N",),
        "five Nones": (b"N",) * 5,
        "negative numbers": (number(-1), number(-(1 << 63)), number(-(1 << 200))),
        "long integers": (number(1 << 2000),) * 2,
        "floats that are not finite": (real(float("inf")), real(float("nan"))),
        "texts": (text("\ud800"), text("latin1"), text("O8")),
        "bytes": (data(b"\xff" * 10), data(b"")),
        "empty containers": (b")", b"]", b"}", b"\x8f"),
        "itself": (b"h\x63", b"h\x63"),
    }
    for path in CONSTRUCTORS:
        module, _, attribute = path.rpartition(".")
        function = name(module, attribute)
        for label, arguments in wrong.items():
            made = function + b"q\x63" + tuple_of(*arguments) + b"R"
            yield bounded(f"{path} of {label}", entry(dict_of(v=made)))
        for label, state in {
            "a text": text("x"),
            "a tuple of Nones": tuple_of(*[b"N"] * 5),
            "a dict of Nones": dict_of(_mgr=b"N", _dtype=b"N", _data=b"N", data=b"N", handle=b"N"),
        }.items():
            yield bounded(f"{path} with a state of {label}", entry(dict_of(v=built(function, (b"N",), state))))


def of_arrays() -> Iterator[Attack]:
    kinds = [
        "f8",
        "f3",
        "f16",
        "i8",
        "i16",
        "u1",
        "b1",
        "b2",
        "c8",
        "c16",
        "S1",
        "S0",
        "U1",
        "U0",
        "V8",
        "O8",
        "O",
        "M8",
        "m8",
        "?",
        ">",
        "<f8",
        "|S1",
        "f8,f8",
        "S99999999999",
        "M8[ns]",
        "T",
    ]
    for kind in kinds:
        for length in (0, 1, 7, 8, 16):
            yield bounded(f"{length} bytes of dtype {kind}", entry(array(kind, b"K\x01\x85", data(b"\xff" * length))))
    for label, state in {
        "None": b"N",
        "an empty tuple": b")",
        "a byte order of bytes": b"(K\x03" + data(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t",
        "a unit of nothing": time_state(b")"),
        "a unit of a long name": time_state(tuple_of(data(b"n" * 100_000), b"K\x01", b"K\x01", b"K\x01")),
        "a unit that is no ASCII": time_state(tuple_of(data(b"\xff"), b"K\x01", b"K\x01", b"K\x01")),
        "a generic unit": time_state(tuple_of(data(b"generic"), b"K\x01", b"K\x01", b"K\x01")),
        "a unit of years": time_state(tuple_of(data(b"Y"), number(1 << 30), b"K\x01", b"K\x01")),
        "a unit of attoseconds": time_state(tuple_of(data(b"as"), b"K\x01", b"K\x01", b"K\x01")),
        "a step of nothing": time_state(tuple_of(data(b"ns"), b"K\x00", b"K\x01", b"K\x01")),
        "a negative step": time_state(tuple_of(data(b"ns"), number(-5), b"K\x01", b"K\x01")),
        "a huge step": time_state(tuple_of(data(b"W"), number((1 << 31) - 1), b"K\x01", b"K\x01")),
    }.items():
        for count in (0, 1, -1, (1 << 63) - 1, -(1 << 63)):
            made = array("M8", b"K\x01\x85", data(struct.pack("<q", count)), state=state)
            yield bounded(f"the time {count} with a state of {label}", entry(dict_of(v=made)))
    for order in (b"N", text("K"), text("F"), text("C"), b"K\x01"):
        for axes in (b"", b"N", tuple_of(b"K\x00", b"K\x00"), tuple_of(b"K\x05"), tuple_of(number(1 << 39))):
            made = (
                name("numpy.core.numeric", "_frombuffer")
                + b"("
                + data(bytes(8))
                + dtype("f8")
                + b"K\x01\x85"
                + order
                + axes
                + b"tR"
            )
            yield bounded(f"a buffer in order {order!r} with axes {axes!r}", entry(made))
    for shape in (b"N", b"K\x01", text("x"), tuple_of(real(1.0)), tuple_of(b"\x88"), tuple_of(number(1 << 64))):
        yield bounded(f"a shape of {shape!r}", entry(array("f8", shape, data(bytes(8)))))
        yield bounded(
            f"a Fortran flag and a shape of {shape!r}", entry(array("f8", shape, data(bytes(8)), flag=b"\x88"))
        )
    yield bounded("an array with a state of two", entry(call(RECONSTRUCT, NDARRAY) + tuple_of(b"K\x01", b")") + b"b"))
    yield bounded("a text of broken UTF-32", entry(array("U1", b"K\x01\x85", data(b"\xff\xff\xff\xff"))))
    yield bounded(
        "a text of half a surrogate pair", entry(dict_of(v=array("U1", b"K\x01\x85", data(b"\x00\xd8\x00\x00"))))
    )


def time_state(unit: bytes) -> bytes:
    return b"(K\x04" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00" + tuple_of(b"}", unit) + b"t"


def of_frames() -> Iterator[Attack]:
    floats = array("f8", tuple_of(b"K\x01", b"K\x02"), data(bytes(16)))
    for label, placement in {
        "outside": columns_from(5, 9),
        "backwards": call(name("builtins", "slice"), number(9), number(-9), number(-1)),
        "with a step of nothing": call(name("builtins", "slice"), b"K\x00", b"K\x01", b"K\x00"),
        "with long bounds": call(name("builtins", "slice"), number(-(1 << 2000)), number(1 << 2000), number(1 << 2000)),
        "of texts": call(name("builtins", "slice"), text("a"), text("b"), text("c")),
        "of two": call(name("builtins", "slice"), b"K\x00", b"K\x01"),
        "negative": number(-1),
        "a long integer": number(1 << 2000),
        "an array of negative numbers": array("i8", b"K\x01\x85", data(b"\xff" * 8)),
        "an array of floats": array("f8", b"K\x01\x85", data(bytes(8))),
        "None": b"N",
    }.items():
        yield bounded(
            f"a block that lies {label}", entry(dict_of(v=frame(labels("a"), counted(2), block(floats, placement))))
        )
    axes = {
        "None": b"N",
        "a list": b"]",
        "a frame": frame(labels("a"), counted(1)),
        "texts": labels("a", "b"),
        "one label twice": labels("a", "a"),
    }
    for label, axis in axes.items():
        yield bounded(
            f"columns of {label}", entry(dict_of(v=frame(axis, counted(2), block(floats, columns_from(0, 1)))))
        )
        yield bounded(f"rows of {label}", entry(dict_of(v=frame(labels("a"), axis, block(floats, columns_from(0, 1))))))
    for label, content in {
        "three dimensions": array("f8", tuple_of(b"K\x01", b"K\x01", b"K\x02"), data(bytes(16))),
        "no dimensions": array("f8", b")", data(bytes(8))),
        "too few values": array("f8", tuple_of(b"K\x01", b"K\x03"), data(bytes(16))),
        "nothing": array("f8", tuple_of(b"K\x00", b"K\x02"), data(b"")),
        "an index": counted(2),
        "a frame": frame(labels("a"), counted(2)),
        "a text": text("x"),
    }.items():
        yield bounded(
            f"a block of {label}", entry(dict_of(v=frame(labels("a"), counted(2), block(content, columns_from(0, 1)))))
        )
    yield bounded(
        "two blocks in one place",
        entry(dict_of(v=frame(labels("a"), counted(2), *[block(floats, columns_from(0, 1))] * 2))),
    )
    yield bounded("columns without blocks", entry(dict_of(v=frame(labels("a", "b"), counted(2)))))
    meanings = labels("a", "b")
    for label, codes in {"beyond": b"\x7f", "negative": b"\x80", "missing": b"\xff"}.items():
        made = categorical(meanings, array("i1", b"K\x01\x85", data(codes)))
        yield bounded(f"a category whose code is {label}", entry(dict_of(v=made)))
        described = dict_of(
            levels=list_of(meanings), codes=list_of(array("i1", b"K\x01\x85", data(codes))), names=text("ab")
        )
        several = call(name("pandas", "_new_Index"), name("pandas", "MultiIndex"), described)
        yield bounded(f"a level whose code is {label}", entry(dict_of(v=several)))
    for kind in ("Index", "RangeIndex", "MultiIndex", "DatetimeIndex", "PeriodIndex", "IntervalIndex", "Timestamp"):
        made = call(
            name("pandas", "_new_Index"), name("pandas", kind), dict_of(data=array("f8", b"K\x01\x85", data(bytes(8))))
        )
        yield bounded(f"an index of class {kind}", entry(dict_of(v=made)))
    old = {
        "0.14.1": dict_of(axes=list_of(labels("a"), counted(2)), blocks=list_of(dict_of(values=floats, mgr_locs=b"N")))
    }
    for version, described in old.items():
        state = tuple_of(b"]", b"]", b"]", b"}" + text(version) + described + b"s")
        manager = built(name("pandas", "BlockManager"), (), state)
        yield bounded(
            "an old manager without places",
            entry(dict_of(v=built(name("pandas", "DataFrame"), (), dict_of(_data=manager)))),
        )
    yield bounded(
        "an old manager of two",
        entry(
            dict_of(
                v=built(
                    name("pandas", "DataFrame"),
                    (),
                    dict_of(_data=built(name("pandas", "BlockManager"), (), tuple_of(b"]", b"]"))),
                )
            )
        ),
    )
    masked = dict_of(
        _data=array("i8", b"K\x01\x85", data(bytes(8))), _mask=array("b1", b"K\x02\x85", data(b"\x02\xff"))
    )
    yield bounded(
        "a mask of another length", entry(dict_of(v=name("pandas", "IntegerArray") + b")\x81" + masked + b"b"))
    )
