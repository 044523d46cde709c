"""Files that promise sizes, or bring more of something than any honest file has."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.attacks.assembling import (
    DATE,
    NEW_INDEX,
    Answer,
    Attack,
    array,
    booster,
    bounded,
    call,
    data,
    dict_of,
    entry,
    frame,
    labels,
    list_of,
    name,
    number,
    refused,
    text,
    tuple_of,
)


def that_promise_sizes() -> Iterator[Attack]:
    for width, code in (
        (4, b"B"),
        (4, b"X"),
        (4, b"T"),
        (8, b"\x8e"),
        (8, b"\x8d"),
        (8, b"\x96"),
        (8, b"\x95"),
        (4, b"\x8b"),
    ):
        for size in ((1 << (8 * width - 1)) - 1, 1 << (8 * width - 1), (1 << (8 * width)) - 1, 1 << (4 * width)):
            yield refused(
                f"0x{code.hex()} promises {size} bytes", entry(code + size.to_bytes(width, "little") + b"short")
            )
    for label, said in (("INT", b"I%s\n"), ("LONG", b"L%sL\n")):
        yield refused(f"{label} of 100,000 digits", entry(said % (b"9" * 100_000)))
        yield refused(f"{label} of 1,000,000 digits", entry(said % (b"9" * 1_000_000)))
        yield refused(f"{label} in other digits", entry(said % "٣".encode()))
        yield refused(f"{label} with underscores", entry(said % b"1_000"))
        yield refused(f"{label} of nothing", entry(said % b""))
        yield refused(f"{label} in hexadecimal", entry(said % b"0x10"))
    yield refused("LONG1 of 255 bytes that are not there", entry(b"\x8a\xff\x01"))
    yield refused("LONG4 of 100,000 bytes", entry(b"\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000))
    yield refused("LONG4 of 1,000,000 bytes", entry(b"\x8b" + struct.pack("<i", 1_000_000) + b"\x7f" * 1_000_000))
    yield refused("FLOAT of 100,000 digits", entry(b"F" + b"9" * 100_000 + b"\n"))
    yield refused("FLOAT of a word", entry(b"Fpickle\n"))
    yield bounded("FLOAT that is infinite", entry(b"F1e999\n"))
    yield bounded("FLOAT that is no number", entry(b"Fnan\n"))
    yield refused("a line of 17 MB", entry(b"V" + b"x" * (17 << 20)))
    yield refused("a quoted line of 17 MB", entry(b"S'" + b"x" * (17 << 20) + b"'\n"))
    yield bounded("a line of a million escapes", entry(b"V" + b"\\u0041" * 1_000_000 + b"\n"))
    yield bounded("a quoted line of a million escapes", entry(b"S'" + b"\\x41" * 1_000_000 + b"'\n"))
    yield refused("a bad escape", entry(b"V\\uZZZZ\n"))
    yield refused("an escape beyond Unicode", entry(b"V\\Uffffffff\n"))
    yield refused("a quote without an end", entry(b"S'x\n"))
    yield refused("a text that is not UTF-8", entry(b"X\x02\x00\x00\x00\xff\xfe"))
    yield refused("a name of 100,000 characters", entry(b"c" + b"o" * 100_000 + b"\nsystem\n"))
    yield refused("a call with 100,000 arguments", entry(DATE + b"(" + b"N" * 100_000 + b"tR"))
    yield refused("100,000 names", entry(list_of(*[DATE] * 100_000)))
    for label, content in {
        "1,100,000 Nones": b"N" * 1_100_000,
        "1,100,000 copies": b"N" + b"2" * 1_100_000,
        "1,100,000 memo entries": b"N" + b"\x94" * 1_100_000,
        "1,100,000 lists": b"]" * 1_100_000,
        "1,100,000 dicts": b"}" * 1_100_000,
        "1,100,000 marks": b"(" * 1_100_000,
        "1,100,000 frames": (b"\x95" + bytes(8)) * 1_100_000,
    }.items():
        yield refused(label, entry(content))
    yield refused("a million values that are thrown away", entry(b"N0" * 600_000 + b"N"))
    yield refused("450,000 calls that are remembered", entry(DATE + b"q\x000" + b"h\x00)R\x94" * 450_000))
    big = {
        "a shape of 2**31 by 2**31": tuple_of(number((1 << 31) - 1), number((1 << 31) - 1), b"K\x00"),
        "a shape of 2**39": number(1 << 39) + b"\x85",
        "a shape of 2**39 by nothing": tuple_of(number(1 << 39), b"K\x00"),
        "a negative shape": number(-1) + b"\x85",
        "a shape of 64 dimensions": tuple_of(*[b"K\x01"] * 64),
        "a shape of 16 dimensions of nothing": tuple_of(*[b"K\x00"] * 16),
        "a shape of text": text("3") + b"\x85",
    }
    for label, shape in big.items():
        for kind in ("f8", "O8", "S0", "U0", "U100000000", "S999999999"):
            content = b"]" if kind == "O8" else data(b"")
            yield bounded(f"{label} of {kind}", entry(array(kind, shape, content)))
    for start, stop, step in (
        (0, 1 << 62, 1),
        (0, -(1 << 62), -1),
        (0, 1 << 4000, 1),
        (0, 5, 0),
        (5, 0, 1),
        (-(1 << 63), 1 << 63, 1),
    ):
        described = dict_of(name=b"N", start=number(start), stop=number(stop), step=number(step))
        made = call(NEW_INDEX, name("pandas.core.indexes.range", "RangeIndex"), described)
        label = f"a range from {start.bit_length()} to {stop.bit_length()} bits by {step}"
        yield bounded(label, entry(made))
        yield bounded(f"{label} as an axis", entry(frame(labels("a"), made)))
    yield from _boosters_that_promise()


def _boosters_that_promise() -> Iterator[Attack]:
    def handle(content: bytes) -> bytes:
        return booster(data(b"{L" + struct.pack(">q", 5) + b"Model" + content))

    for size in (1 << 62, -1, 1 << 31, (1 << 63) - 1):
        length = b"L" + struct.pack(">q", size)
        for tag in b"iUIlLdD":
            yield refused(
                f"UBJSON array of {bytes([tag]).decode()} promises {size}", handle(b"[$" + bytes([tag]) + b"#" + length)
            )
        yield refused(f"UBJSON text promises {size}", handle(b"S" + length))
        yield refused(f"UBJSON key promises {size}", handle(b"{" + length))
        yield refused(f"UBJSON array without a type promises {size}", handle(b"[#" + length))
    yield refused("UBJSON array of arrays", handle(b"[$[#L" + struct.pack(">q", 3)))
    yield refused("UBJSON array of nulls", handle(b"[$Z#L" + struct.pack(">q", 3)))
    yield refused("UBJSON of 100,000 levels of arrays", handle(b"[" * 100_000))
    yield refused("UBJSON of 100,000 levels of objects", handle((b"{L" + struct.pack(">q", 1) + b"a") * 100_000))
    yield refused("UBJSON of 4,000,000 nulls", handle(b"[" + b"Z" * 4_000_000 + b"]}"))
    yield refused("UBJSON of 800,000 single floats", handle(b"[" + b"d\x3f\x80\x00\x00" * 800_000 + b"]}"))
    yield refused("UBJSON of 1,000,000 empty float arrays", handle(b"[" + b"[$d#U\x00" * 1_000_000 + b"]}"))
    yield refused("UBJSON of a million keys", handle(b"{" + b"U\x01aZ" * 1_100_000 + b"}}"))
    yield bounded(
        "UBJSON of two million floats",
        handle(b"{U\x01a[$d#l" + struct.pack(">i", 1_100_000) + bytes(8_000_000) + b"}}"),
    )
    for label, text_of in {
        "arrays": b"[" * 200_000,
        "objects": b'{"":' * 200_000,
        "digits": b"9" * 1_000_000,
        "an exponent": b"1e999999999",
        "empty objects": b"[" + b"{}," * 1_500_000 + b"0]",
        "empty arrays": b"[" + b"[]," * 1_500_000 + b"0]",
        "escapes": b'"' + b"\\u0001" * 800_000 + b'"',
        "half surrogate pairs": b'"\\ud800"',
        "NaN": b"NaN",
        "empty objects and NaN": b"[" + b"{}," * 1_500_000 + b"NaN]",
    }.items():
        content = b'{"learner":' + text_of + b',"version":[3,2,0]}'
        yield Attack(f"JSON booster of {label}", booster(data(content)), Answer.REFUSED, Answer.ANY)
    yield refused("JSON booster of 100,000 models", booster(data(b'{"Model":' * 100_000)))
