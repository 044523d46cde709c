"""The memo, frames, protocols and ends: where pickles say one thing to a scanner and another to a reader."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from tests.attacks.assembling import (
    COMMAND,
    DATE,
    RUN,
    SYSTEM,
    Attack,
    call,
    data,
    dict_of,
    entry,
    harmless,
    info,
    list_of,
    name,
    refused,
    stacked,
    text,
    unsafe,
    whole,
)


def with_the_memo() -> Iterator[Attack]:
    swapped = DATE + b"q\x000" + SYSTEM + b"q\x000"
    yield unsafe("a memo entry that is replaced", entry(swapped + b"h\x00" + text(COMMAND) + b"\x85R"), runs=True)
    hidden = text("os") + b"q\x05" + b"0" + text("json") + b"q\x06" + b"0" + text("system") + b"q\x07" + b"0"
    yield unsafe(
        "a name from memo entries apart", entry(hidden + b"h\x05h\x07\x93" + text(COMMAND) + b"\x85R"), runs=True
    )
    overwritten = (
        text("collections")
        + b"q\x050"
        + text("OrderedDict")
        + b"q\x060"
        + text("os")
        + b"q\x050"
        + text("system")
        + b"q\x060"
    )
    yield unsafe(
        "a name from replaced memo entries",
        entry(overwritten + b"h\x05h\x06\x93" + text(COMMAND) + b"\x85R"),
        runs=True,
    )
    numbered = text("os") + b"\x940" + text("system") + b"\x940"
    yield unsafe("a name from MEMOIZE", entry(numbered + b"h\x00h\x01\x93" + text(COMMAND) + b"\x85R"), runs=True)
    gap = text("x") + b"r\x10\x00\x00\x00" + b"0" + text("os") + b"\x940" + text("system") + b"\x940"
    yield unsafe("MEMOIZE after a gap", entry(gap + b"h\x01h\x02\x93" + text(COMMAND) + b"\x85R"), runs=True)
    by_text = text("os") + b"p007\n0" + text("system") + b"p8\n0"
    yield unsafe(
        "memo indexes with zeros before them", entry(by_text + b"g7\ng8\n\x93" + text(COMMAND) + b"\x85R"), runs=True
    )
    yield unsafe("DUP of the function", entry(SYSTEM + b"20" + text(COMMAND) + b"\x85R"), runs=True)
    yield unsafe("arguments from the memo", entry(text(COMMAND) + b"\x85q\x000" + SYSTEM + b"h\x00R"), runs=True)
    yield unsafe("a function in a list in the memo", entry(list_of(SYSTEM) + b"q\x00"))
    yield unsafe("what is never used", info(symbol=text("BTC"))[:-1] + b"0" + SYSTEM + b"0}.")
    yield unsafe("a mark between name and call", entry(SYSTEM + b"(1" + text(COMMAND) + b"\x85R"), runs=True)
    yield refused("an index that was never set", entry(b"h\x63"))
    yield refused("a long index that was never set", entry(b"j\xff\xff\xff\x7f"))
    yield refused("an index by text that was never set", entry(b"g123456\n"))
    yield refused("a negative index", entry(b"Np-1\n"))
    yield refused("a negative index read", entry(b"g-1\n"))
    yield refused("an index with a space", entry(b"Np 1\n"))
    yield refused("an index with an underscore", entry(b"Np1_0\n"))
    yield refused("an index in other digits", entry(b"Np" + "٣".encode() + b"\n"))
    yield refused("an index beyond the memo", entry(b"Nr\xff\xff\xff\xff"))
    yield refused("an index of eleven digits", entry(b"Np99999999999\n"))
    yield refused("PUT without a value", whole(b"q\x00}"))
    yield refused("MEMOIZE without a value", whole(b"\x94}"))
    yield refused("PUT on a mark", whole(b"(q\x00t}"))
    yield harmless(
        "a list that is changed after it was used", entry(b"}" + text("v") + b"]q\x00s" + b"h\x00K\x01a0"), {"v": [1]}
    )
    yield harmless("the same list twice", entry(dict_of(a=b"]q\x00K\x01a", b=b"h\x00")), {"a": [1], "b": [1]})


def _framed(content: bytes, size: int | None = None) -> bytes:
    return b"\x95" + struct.pack("<Q", len(content) if size is None else size) + content


def with_frames_and_protocols() -> Iterator[Attack]:
    body = b"}" + text("config") + RUN + b"s."
    plain = b"}" + text("config") + b"}s."
    yield unsafe("a frame that is too short", b"\x80\x04" + _framed(body, 3), runs=True)
    yield unsafe("a frame of nothing", b"\x80\x04" + _framed(body, 0))
    yield refused("a frame that is too long", b"\x80\x04" + _framed(body, len(body) + 1))
    yield refused("a frame of 2**63", b"\x80\x04" + _framed(body, 1 << 63))
    yield refused("a frame of 2**64-1", b"\x80\x04" + _framed(plain, (1 << 64) - 1))
    yield unsafe("a frame in a frame", b"\x80\x04" + _framed(_framed(body)))
    yield unsafe("ten thousand empty frames", b"\x80\x04" + _framed(b"", 0) * 10_000 + body)
    yield unsafe("a frame before an old protocol", b"\x80\x02" + _framed(body), runs=True)
    yield unsafe("frames without a protocol", _framed(body), runs=True)
    yield refused("half a frame", b"\x80\x04\x95\x01\x00")
    for protocol in range(6):
        yield unsafe(f"protocol {protocol} said", bytes([0x80, protocol]) + body, runs=True)
    for protocol in (6, 7, 127, 128, 255):
        yield refused(f"protocol {protocol} said", bytes([0x80, protocol]) + body)
    yield unsafe("two protocols", b"\x80\x02\x80\x04" + body, runs=True)
    yield unsafe("a protocol in the middle", b"\x80\x04}" + text("config") + b"\x80\x02" + RUN + b"s.", runs=True)
    yield unsafe(
        "new instructions under an old protocol",
        b"\x80\x00}" + text("config") + stacked("os", "system") + text(COMMAND) + b"\x85Rs.",
        runs=True,
    )
    yield unsafe("broken after the payload", b"\x80\x04" + RUN + b"\xff\xfe\xfd", runs=True)
    yield unsafe("cut after the payload", b"\x80\x04" + RUN, runs=True)
    yield unsafe("an empty stack after the payload", b"\x80\x04" + RUN + b"0000.", runs=True)
    yield unsafe("a bad text after the payload", b"\x80\x04" + RUN + b"X\x02\x00\x00\x00\xff\xff.", runs=True)
    yield unsafe("a bad number after the payload", b"\x80\x04" + RUN + b"Ixyz\n.", runs=True)
    yield unsafe("a persistent id after the payload", b"\x80\x04" + RUN + b"Pid\n.", runs=True)
    yield unsafe("an out-of-band buffer after the payload", b"\x80\x05" + RUN + b"\x97.", runs=True)
    yield refused("an out-of-band buffer", b"\x80\x05\x97.")
    yield refused("a read-only buffer", b"\x80\x05" + data(b"x") + b"\x98.")
    yield refused("two values at the end", b"\x80\x04}}.")
    yield refused("a mark at the end", b"\x80\x04(}.")
    yield refused("no value at the end", b"\x80\x04.")
    yield refused("nothing", b"")
    yield refused("a protocol alone", b"\x80\x04")
    yield refused("an end without a start", b".")
    yield refused("zero bytes", bytes(1000))
    yield refused("a new line", b"\n")
    yield refused("a text file", b"I am no pickle\n")
    yield refused("an HTML page", b"<html><body>404</body></html>")
    yield refused("a JSON document", b'{"symbol": "BTC"}')
    for code in range(256):
        if bytes([code]) not in INSTRUCTIONS:
            yield refused(f"the instruction 0x{code:02x}", entry(bytes([code])))


INSTRUCTIONS = frozenset(bytes([code]) for code in b"().012FGIJKLMNPQRSTUVX]abcdeghijlopqrstuBC}") | frozenset(
    bytes([code]) for code in range(0x80, 0x99)
)


def with_more_than_one_pickle() -> Iterator[Attack]:
    honest = info(symbol=text("BTC"), config=dict_of(v=b"K\x01"))
    payload = whole(RUN)
    yield harmless("a second pickle after the end", honest + payload, {"v": 1})
    yield harmless("rubbish after the end", honest + b"\xff" * 1000, {"v": 1})
    yield unsafe("a payload before the honest pickle", payload + honest, runs=True)
    yield harmless("a pickle in bytes", entry(dict_of(v=data(payload))), {"v": repr(payload)})
    yield harmless(
        "a pickle in text",
        entry(dict_of(v=b"\x8c" + bytes([len("cos\nsystem\n.")]) + b"cos\nsystem\n.")),
        {"v": "cos\nsystem\n."},
    )
    yield harmless("a name in text", entry(dict_of(v=text("os.system"))), {"v": "os.system"})
    yield harmless(
        "a bytearray with a pickle",
        entry(dict_of(v=b"\x96" + struct.pack("<Q", len(payload)) + payload)),
        {"v": repr(payload)},
    )
    yield unsafe("joblib's array after the pickle", whole(call(name("joblib.numpy_pickle", "read_array"), text("x"))))
    for label, packed in _containers(payload).items():
        yield refused(f"a pickle in {label}", packed)


def _containers(payload: bytes) -> dict[str, bytes]:
    zipped, stored, tarred = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), payload)
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr(zipfile.ZipInfo("data.pkl"), payload)
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        entry_of = tarfile.TarInfo("data.pkl")
        entry_of.size = len(payload)
        archive.addfile(entry_of, io.BytesIO(payload))
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + payload
    return {
        "gzip": gzip.compress(payload, mtime=0),
        "zlib": zlib.compress(payload),
        "bz2": bz2.compress(payload),
        "xz": lzma.compress(payload),
        "a zip archive": zipped.getvalue(),
        "a stored zip archive": stored.getvalue(),
        "a tar archive": tarred.getvalue(),
        "an object array of NumPy": npy,
        "the start of PyTorch": b"PK\x03\x04" + payload,
        "the start of 7-Zip": b"7z\xbc\xaf\x27\x1c" + payload,
        "base64": b"Y29zCnN5c3RlbQou",
        "UTF-16": payload.decode("latin-1").encode("utf-16"),
    }
