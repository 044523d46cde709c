"""Small files that would become much: what repeats itself, is shared, nests, or holds itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.attacks.assembling import (
    DATE,
    ENCODE,
    FRAME,
    NDARRAY,
    NEW_INDEX,
    RECONSTRUCT,
    Attack,
    array,
    arrow_type,
    block,
    bounded,
    call,
    categorical,
    columns_from,
    counted,
    data,
    dict_of,
    entry,
    frame,
    harmless,
    index_of,
    info,
    labels,
    list_of,
    name,
    number,
    real,
    refused,
    text,
    tuple_of,
    whole,
)

HA = b"](" + text("ha") * 10 + b"e"


def _doubled(first: bytes, again: bytes, close: bytes, levels: int) -> bytes:
    """Ten references to the level below, level by level; the last one is left on the stack."""
    made = first + b"q\x000"
    for level in range(levels):
        made += again + (b"h" + bytes([level])) * 10 + close + b"q" + bytes([level + 1]) + b"0"
    return made + b"h" + bytes([levels])


def that_repeat_themselves() -> Iterator[Attack]:
    yield refused("billion laughs, 7 levels of lists", entry(_doubled(HA, b"](", b"e", 7)))
    yield refused("billion laughs, 20 levels of tuples", entry(_doubled(HA, b"(", b"t", 20)))
    yield refused("billion laughs, 30 levels of frozensets", entry(_doubled(HA, b"(", b"\x91", 30)))
    pairs = b"".join(text(f"k{number}") + b"h\x00" for number in range(10))
    yield refused(
        "billion laughs of dicts",
        entry(HA + b"q\x000" + b"".join(b"}(" + pairs + b"uq\x000" for _ in range(12)) + b"}" + text("v") + b"h\x00s"),
    )
    yield refused("laughs in keys", entry(b"}" + _doubled(HA, b"(", b"t", 12) + b"Ns"))
    yield bounded(
        "laughs in an OrderedDict", entry(call(name("collections", "OrderedDict"), _doubled(HA, b"](", b"e", 12)))
    )
    yield refused("laughs in a deque", entry(call(name("collections", "deque"), _doubled(HA, b"](", b"e", 12))))
    yield refused("laughs in an object array", entry(array("O8", b"K\x0a\x85", _doubled(HA, b"](", b"e", 12))))
    yield bounded("laughs in a key that is not read", entry(_doubled(HA, b"](", b"e", 30), "note"))
    long = text("é" * 1_000_000)
    yield refused("one long text 400,000 times", entry(b"](" + long + b"q\x05" + b"h\x05" * 400_000 + b"e"))
    yield refused("one long text as 400,000 keys", entry(long + b"q\x050}(" + b"h\x05N" * 400_000 + b"u"))
    control = text("\x01" * 100_000)
    yield refused(
        "one text of control characters 100,000 times", entry(b"](" + control + b"q\x05" + b"h\x05" * 100_000 + b"e")
    )
    yield bounded(
        "texts of control characters, as many as are read",
        entry(b"}" + text("v") + b"](" + text("\x01" * 10_000) + b"q\x05" + b"h\x05" * 11_000 + b"es"),
    )
    yield refused(
        "one long integer 400,000 times",
        entry(b"](\x8b\x00\x02\x00\x00" + b"\x7f" * 512 + b"q\x05" + b"h\x05" * 400_000 + b"e"),
    )
    yield refused(
        "one long integer as 400,000 keys",
        entry(b"\x8b\x00\x02\x00\x00" + b"\x7f" * 512 + b"q\x050}(" + b"h\x05N" * 400_000 + b"u"),
    )
    yield refused(
        "one megabyte of bytes 400,000 times",
        entry(b"](" + data(bytes(1_000_000)) + b"q\x05" + b"h\x05" * 400_000 + b"e"),
    )
    yield bounded(
        "bytes, as many as are read",
        entry(b"}" + text("v") + b"](" + data(bytes(1_000_000)) + b"q\x05" + b"h\x05" * 14 + b"es"),
    )
    whole_array = array("i1", b"M\xff\xff\x85", data(bytes(65_535)))
    yield refused("one array 200,000 times", entry(b"](" + whole_array + b"q\x05" + b"h\x05" * 200_000 + b"e"))
    bad_array = array("S999999", b"K\x01\x85", data(bytes(0xFFFFF)))
    yield bounded("one bad array 200,000 times", entry(b"](" + bad_array + b"q\x05" + b"h\x05" * 200_000 + b"e"))
    one_frame = frame(
        labels("a"),
        counted(1000),
        block(array("f8", tuple_of(b"K\x01", number(1000)), data(bytes(8000))), columns_from(0, 1)),
    )
    yield refused("one frame 100,000 times", entry(b"](" + one_frame + b"q\x05" + b"h\x05" * 100_000 + b"e"))
    encoded = call(ENCODE, long, text("latin1"))
    yield refused("one encoding 400,000 times", entry(b"](" + encoded + b"q\x05" + b"h\x05" * 400_000 + b"e"))
    zone = call(name("zoneinfo", "ZoneInfo"), text("Europe/Berlin"))
    moment = call(name("datetime", "datetime"), data(b"\x07\xe7\x01\x01" + bytes(6)), zone)
    yield refused("one time in a zone 400,000 times", entry(b"](" + moment + b"q\x05" + b"h\x05" * 400_000 + b"e"))
    zones = (
        call(
            name("datetime", "datetime"),
            data(b"\x07\xe7\x01\x01" + bytes(6)),
            call(name("zoneinfo", "ZoneInfo"), text(f"Europe/Nowhere{at}")),
        )
        for at in range(5000)
    )
    yield refused("five thousand zones", entry(list_of(*zones)))
    yield from _shared_by_reference()


def _shared_by_reference() -> Iterator[Attack]:
    """Values that take one place in memory and many when they are written."""
    codes = array("i1", b"J\x40\x0d\x03\x00\x85", data(bytes(200_000)))
    million = index_of(array("O8", b"K\x01\x85", list_of(text("x" * 1_000_000))))
    many = categorical(million, codes)
    yield refused("one long category 200,000 times", entry(dict_of(v=many)))
    for key in ("ic_df", "config", "feature_importance"):
        held = frame(labels("symbol"), counted(200_000), block(many, columns_from(0, 1), 1))
        yield refused(
            f"one long category 200,000 times in a frame of {key}",
            entry(held if key != "config" else dict_of(v=held), key),
        )
    nested = index_of(array("O8", b"K\x01\x85", list_of(list_of(*[b"N"] * 50_000))))
    yield bounded("one category that is a list, 200,000 times", entry(dict_of(v=categorical(nested, codes))))
    levels = dict_of(levels=list_of(million), codes=list_of(codes), names=list_of(b"N"))
    several = call(NEW_INDEX, name("pandas.core.indexes.multi", "MultiIndex"), levels)
    yield refused("one long label 200,000 times", entry(dict_of(v=several)))
    texts = tuple_of(
        arrow_type("string"),
        b"K\x01",
        b"K\x00",
        b"K\x00",
        list_of(b"N", data(struct.pack("<2i", 0, 1_000_000)), data(b"x" * 1_000_000)),
        b"]",
        b"N",
    )
    kind = call(
        name("pyarrow.lib", "dictionary"),
        arrow_type("int8"),
        arrow_type("string"),
    )
    parts = tuple_of(kind, number(200_000), b"K\x00", b"K\x00", list_of(b"N", data(bytes(200_000))), b"]", texts)
    arrow = (
        name("pandas.core.arrays.arrow.array", "ArrowExtensionArray")
        + b")\x81"
        + dict_of(_pa_array=call(name("pyarrow.lib", "_restore_array"), parts))
        + b"b"
    )
    yield refused("one long text of an Arrow dictionary 200,000 times", entry(dict_of(v=arrow)))
    column = block(array("f8", tuple_of(b"K\x01", number(200_000)), data(bytes(1_600_000))), columns_from(0, 1))
    yield refused(
        "one long column name in 200,000 rows",
        entry(dict_of(v=frame(labels("x" * 1_000_000), counted(200_000), column))),
    )
    named = call(
        NEW_INDEX,
        name("pandas.core.indexes.range", "RangeIndex"),
        dict_of(name=text("x" * 1_000_000), start=b"K\x00", stop=number(200_000), step=b"K\x01"),
    )
    yield refused("one long index name in 200,000 rows", entry(dict_of(v=frame(labels("a"), named, column))))


def that_meet_slow_paths() -> Iterator[Attack]:
    """Data that is sound and would make a careless reader compare everything with everything."""
    names = b"".join(text(f"f{at}") for at in range(150_000))
    yield bounded("150,000 selected factors", entry(b"](" + names + b"e", "selected_factors"))
    yield bounded(
        "one selected factor 400,000 times",
        entry(b"](" + text("f") + b"q\x05" + b"h\x05" * 400_000 + b"e", "selected_factors"),
    )
    yield bounded(
        "selected factors that are one megabyte, twice",
        entry(b"](" + text("f" * 1_000_000) + b"q\x05h\x05e", "selected_factors"),
    )
    wide = b"}(" + b"".join(text(f"c{at}") + b"N" for at in range(150_000)) + b"u"
    narrow = b"}q\x05" + b"h\x05" * 200_000
    for key in ("feature_importance", "ic_df"):
        yield bounded(f"a wide row and 200,000 empty ones in {key}", entry(b"](" + wide + narrow + b"e", key))
    row = dict_of(symbol=text("B"), factor_name=text("f"), return_name=text("r"), Kendall_tau=real(0.5))
    yield bounded("IC rows of which one is empty", entry(b"](" + row + b"}e", "ic_df"))
    yield bounded(
        "IC rows of which one has less", entry(b"](" + row[:-1] + text("more") + b"K\x01u" + row + b"e", "ic_df")
    )
    yield bounded(
        "IC rows of which one has more", entry(b"](" + row + row[:-1] + text("more") + b"K\x01u" + b"e", "ic_df")
    )
    yield bounded("one IC row 200,000 times", entry(b"](" + row + b"q\x05" + b"h\x05" * 200_000 + b"e", "ic_df"))
    bad = dict_of(symbol=b"N", factor_name=b"]", return_name=b"}", Kendall_tau=text("x"))
    yield bounded("IC rows of other types", entry(b"](" + bad + b"q\x05" + b"h\x05" * 1000 + b"e", "ic_df"))
    huge = dict_of(
        symbol=b"K\x01",
        factor_name=b"\x8a\x50" + b"\x11" * 80,
        return_name=b"N",
        Kendall_tau=b"\x8b\x00\x02\x00\x00" + b"\x7f" * 512,
    )
    yield bounded("an IC row of long integers", entry(b"](" + huge + b"e", "ic_df"))
    columns = b"}(" + b"".join(text(f"c{at}") + b"h\x05" for at in range(100_000)) + b"u"
    yield bounded("100,000 columns that are one list", entry(b"](K\x01eq\x050" + columns, "ic_df"))
    yield bounded(
        "every key a hundred thousand times",
        whole(b"}(" + (text("symbol") + b"N" + text("config") + b"}") * 100_000 + b"u"),
    )
    wanted = dict_of(a=b"N")
    deep = b"".join(call(name("types", "SimpleNamespace")) + wanted + b"b0" for _ in range(20_000))
    yield bounded("twenty thousand states", whole(b"}" + deep))
    for key in ("symbol", "return_name", "train_start_date", "config"):
        yield bounded(f"a megabyte of text as {key}", entry(text("x" * 1_000_000), key))
        yield bounded(f"half surrogate pairs as {key}", entry(text("\ud800\udfff\ud800"), key))
    for key in ("train_samples", "train_time", "train_window", "feature_importance"):
        yield bounded(f"a long integer as {key}", entry(b"\x8b\x00\x02\x00\x00" + b"\x7f" * 512, key))
        yield bounded(f"NaN as {key}", entry(real(float("nan")), key))
        yield bounded(f"a number below every size as {key}", entry(real(-1.7e308), key))
        yield bounded(f"a negative long integer as {key}", entry(b"\x8b\x00\x02\x00\x00" + b"\x80" * 512, key))
    for low, high in (
        ("0001-01-01", "9999-12-31"),
        ("0001-01-01T00:00+23:59", "9999-12-31T23:59:59.999999-23:59"),
        ("", ""),
        ("9" * 29, "x"),
        ("2024-W01", "20240101T000000.123456789"),
    ):
        yield bounded(f"a window from {low[:30]!r}", entry(tuple_of(text(low), text(high)), "train_window"))


def that_nest_or_hold_themselves() -> Iterator[Attack]:
    for levels in (40, 900, 100_000, 400_000):
        yield refused(f"tuples, {levels} deep", entry(b")" + b"\x85" * levels))
        yield refused(f"lists, {levels} deep", entry(b"]" * levels + b"a" * (levels - 1)))
    for levels in (40, 900, 990):
        yield refused(f"marks, {levels} deep", entry(b"(" * levels + b"t" * levels))
        yield refused(f"dicts, {levels} deep", entry((b"}" + text("a")) * levels + b"N" + b"s" * levels))
        yield refused(f"frozensets, {levels} deep", entry(b"(" * levels + b"\x91" * levels))
    yield bounded("calls, 60,000 deep", entry(DATE + b"q\x000N" + b"\x85q\x010h\x00h\x01R" * 60_000))
    yield bounded("states, 60,000 deep", entry(call(DATE) * 60_000 + b"b" * 59_999))
    yield refused(
        "OrderedDicts, 900 deep",
        entry((call(name("collections", "OrderedDict")) + text("a")) * 900 + b"N" + b"s" * 900),
    )
    yield bounded("object arrays, 900 deep", entry(b"N" + b"".join(b"\x85" for _ in range(900))))
    yield bounded(
        "encodings, 50,000 deep",
        entry(
            text("x")
            + b"q\x000h\x00"
            + b"".join(b"\x85q\x010" + name("builtins", "bytes") + b"h\x01R" for _ in range(15_000))
        ),
    )
    loops = {
        "a list": b"]q\x00h\x00a",
        "a dict": b"}q\x00" + text("x") + b"h\x00s",
        "a dict as its own key": b"}q\x00h\x00Ns",
        "a set": b"\x8fq\x00(h\x00\x90",
        "a tuple in a list": b"]q\x00h\x00\x85a",
        "an OrderedDict": call(name("collections", "OrderedDict")) + b"q\x00" + text("x") + b"h\x00s",
        "a deque": call(name("collections", "deque")) + b"q\x00h\x00a",
        "a namespace": call(name("types", "SimpleNamespace")) + b"q\x00" + text("x").join([b"}", b"h\x00sb"]),
    }
    for label, content in loops.items():
        yield refused(f"{label} that holds itself", entry(content))
    own_state = {
        "an array in its own list": array("O8", b"K\x01\x85", b"]q\x00h\x00a"),
        "an array in its own state": RECONSTRUCT
        + tuple_of(NDARRAY, b"K\x00\x85", data(b"b"))
        + b"Rq\x00(K\x01K\x01\x85"
        + name("numpy", "dtype")
        + text("O8")
        + b"\x89\x88\x87R\x89](h\x00etb",
        "a frame in its own state": FRAME + b")\x81q\x00}" + text("_mgr") + b"h\x00sb",
        "an index in its own data": NEW_INDEX
        + name("pandas", "Index")
        + b"}q\x00\x86Rq\x010h\x00"
        + text("data")
        + b"h\x01s0h\x01",
        "a level in its own levels": NEW_INDEX
        + name("pandas", "MultiIndex")
        + b"}q\x00\x86Rq\x010h\x00("
        + text("levels")
        + b"](h\x01e"
        + text("codes")
        + b"]"
        + text("names")
        + b"]u0h\x01",
        "a category in its own dtype": name("pandas", "Categorical")
        + b")\x81q\x00}("
        + text("_dtype")
        + name("pandas", "CategoricalDtype")
        + b"h\x00\x89\x86R"
        + text("_codes")
        + b"h\x00ub",
        "an Arrow dictionary in itself": name("pandas", "ArrowExtensionArray")
        + b")\x81}"
        + text("_pa_array")
        + name("pyarrow.lib", "_restore_array")
        + b"]q\x00"
        + b"\x85Rsb",
        "bytes in themselves": name("builtins", "bytes") + b"]q\x00h\x00a\x85R",
        "a zone in its own offset": name("dateutil.tz", "tzoffset") + b")Rq\x00}" + text("_offset") + b"h\x00sb",
        "a Booster in its own handle": name("xgboost.core", "Booster") + b")\x81q\x00}" + text("handle") + b"h\x00sb",
    }
    for label, content in own_state.items():
        yield bounded(label, entry(content))
        yield refused(f"{label}, alone", whole(content))
    yield harmless("a model in its own dict", whole(b"}q\x00" + text("booster") + b"h\x00s"), {})
    yield refused(
        "a wrapper in its own state",
        whole(name("xgboost.sklearn", "XGBRegressor") + b")\x81q\x00}" + text("_Booster") + b"h\x00sb"),
    )
    yield bounded("an info in itself", info(config=b"N")[:-1] + b"q\x00" + text("config") + b"h\x00s.")
