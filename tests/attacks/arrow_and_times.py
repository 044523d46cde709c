"""Arrow arrays and points in time of shapes that no library writes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.attacks.assembling import (
    Attack,
    array,
    arrow_type,
    bounded,
    call,
    data,
    dict_of,
    entry,
    index_of,
    list_of,
    name,
    number,
    real,
    text,
    tuple_of,
)
from tests.attacks.shapes import time_state


def of_arrow() -> Iterator[Attack]:
    def restored(kind: bytes, length: bytes, offset: bytes, buffers: bytes, dictionary: bytes = b"N") -> bytes:
        parts = tuple_of(kind, length, b"K\x00", offset, buffers, b"]", dictionary)
        state = dict_of(_pa_array=call(name("pyarrow.lib", "_restore_array"), parts))
        return entry(dict_of(v=name("pandas", "ArrowExtensionArray") + b")\x81" + state + b"b"))

    lengths = {
        "one": number(1),
        "negative": number(-1),
        "2**40": number(1 << 40),
        "2**80": number(1 << 80),
        "true": b"\x88",
        "a text": text("1"),
    }
    buffers = {
        "none": b"]",
        "one": list_of(b"N"),
        "empty": list_of(b"N", data(b""), data(b"")),
        "bits": list_of(data(b"\xff"), data(b"\xff" * 16), data(b"\xff" * 4)),
        "ends": list_of(b"N", data(struct.pack("<4i", 3, 1, -5, 1 << 30)), data(b"\xff\xfe")),
    }
    for of in (
        "int8",
        "double",
        "string",
        "large_string",
        "bool",
        "null",
        "date32[day]",
        "timestamp[ns]",
        "duration[s]",
        "list",
        "x" * 1000,
    ):
        for label, buffer in buffers.items():
            yield bounded(
                f"Arrow {of[:20]} with buffers {label}", restored(arrow_type(of), number(1), number(0), buffer)
            )
    for label, length in lengths.items():
        for of in ("int64", "string", "null", "bool"):
            yield bounded(f"Arrow {of} of length {label}", restored(arrow_type(of), length, number(0), buffers["bits"]))
            yield bounded(
                f"Arrow {of} from offset {label}", restored(arrow_type(of), number(1), length, buffers["bits"])
            )
    nested = call(
        name("pyarrow.lib", "dictionary"),
        call(name("pyarrow.lib", "dictionary"), arrow_type("int8"), arrow_type("string")),
    )
    yield bounded(
        "an Arrow dictionary of dictionaries",
        restored(nested, number(1), number(0), buffers["bits"], tuple_of(*[b"N"] * 7)),
    )
    for zone in (text("Nowhere/At_All"), text("../x"), number(1), call(name("pytz", "_p"), text("UTC"))):
        kind = call(name("pyarrow.lib", "timestamp"), text("ns"), zone)
        yield bounded(
            f"an Arrow time in the zone {zone!r}",
            restored(kind, number(2), number(0), list_of(b"N", data(b"\xff\x7f" * 8))),
        )


def of_times() -> Iterator[Attack]:
    moment = name("datetime", "datetime")
    for raw in (
        b"",
        b"\xff" * 10,
        bytes(10),
        b"\x07\xe7\x0d\x01" + bytes(6),
        b"\x07\xe7\x02\x1f" + bytes(6),
        b"\x07\xe7\x01\x01\x18" + bytes(5),
        b"\x00\x01\x01\x01" + bytes(6),
        b"\x27\x0f\x0c\x1f\x17\x3b\x3b\x0f\x42\x3f",
    ):
        zones = (
            b"N",
            call(name("datetime", "timezone"), call(name("datetime", "timedelta"), number(1), number(0), number(0))),
            call(
                name("datetime", "timezone"),
                call(name("datetime", "timedelta"), number(-(10**9)), number(10**18), number(1 << 200)),
            ),
            call(name("pytz", "_p"), text("X"), number(1 << 200)),
            call(name("pytz", "FixedOffset"), number(-(1 << 60))),
            call(name("dateutil.tz", "tzoffset"), b"N", number(86_400)),
            call(name("zoneinfo", "ZoneInfo"), text("Europe/Berlin")),
        )
        for which, zone in enumerate(zones):
            made = call(moment, data(raw), zone)
            yield bounded(f"the moment {raw.hex()} in zone {which}", entry(dict_of(v=made)))
    for count in (1 << 62, -(1 << 62), 1 << 2000, -(1 << 63)):
        for unit in (b"", b"K\x07", b"K\x0a", b"K\x63", number(1 << 100)):
            stamp = (
                name("pandas._libs.tslibs.timestamps", "_unpickle_timestamp")
                + b"("
                + number(count)
                + b"N"
                + call(name("zoneinfo", "ZoneInfo"), text("Asia/Tokyo"))
                + unit
                + b"tR"
            )
            yield bounded(
                f"a timestamp of {count.bit_length()} bits {count < 0} in unit {unit!r}", entry(dict_of(v=stamp))
            )
            span = name("pandas", "_timedelta_unpickle") + b"(" + number(count) + unit + b"tR"
            yield bounded(f"a span of {count.bit_length()} bits {count < 0} in unit {unit!r}", entry(dict_of(v=span)))
    for content in (
        array(
            "M8",
            b"K\x01\x85",
            data(b"\xff" * 8),
            state=time_state(tuple_of(data(b"ns"), b"K\x01", b"K\x01", b"K\x01")),
        ),
        b"N",
    ):
        described = dict_of(data=content, tz=text("Europe/Berlin"), name=real(float("nan")), freq=b"N")
        made = call(name("pandas", "_new_DatetimeIndex"), name("pandas", "DatetimeIndex"), described)
        yield bounded(f"an index of times of {len(content)} bytes", entry(dict_of(v=made)))
        yield bounded(f"an index of an index of {len(content)} bytes", entry(dict_of(v=index_of(made))))
