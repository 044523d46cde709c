"""Hostile pickles end early, cheaply, and without anything of theirs having been imported or run."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable

import pytest

from mm_core.artifacts.pickles import read_info, read_model_json
from mm_core.errors import UnreadableArtifact
from tests.attacks.assembling import (
    DATE,
    ENCODE,
    GETATTR,
    NEW_INDEX,
    SYSTEM,
    array,
    entry,
    name,
    text,
)

FORBIDDEN_EVENTS = ("import", "exec", "compile", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pickle.")
MOST_SECONDS = 5.0

_heard: list[str] = []
_listening = False


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _listening and event.startswith(FORBIDDEN_EVENTS):
        _heard.append(f"{event} {arguments!r}"[:200])


sys.addaudithook(_hear)


def refusal_of(read: Callable[[bytes], object], data: bytes) -> UnreadableArtifact | None:
    """Read ``data``; fail when that imports, runs, opens a socket or takes longer than two seconds."""
    global _listening
    _heard.clear()
    modules = set(sys.modules)
    started = time.process_time()
    refusal = None
    _listening = True
    try:
        read(data)
    except UnreadableArtifact as error:
        refusal = error
    finally:
        _listening = False
    assert time.process_time() - started < MOST_SECONDS
    assert not _heard
    assert set(sys.modules) == modules
    assert refusal is None or refusal.remedy
    return refusal


COMMAND = text("echo harm")

UNSAFE = {
    "global": (SYSTEM, "os.system"),
    "global and reduce": (SYSTEM + COMMAND + b"\x85R", "os.system"),
    "stack global": (text("os") + text("system") + b"\x93", "os.system"),
    "stack global from memo": (text("os") + b"q\x00" + text("system") + b"q\x01" + b"h\x00h\x01\x93", "os.system"),
    "inst": (b"(" + COMMAND + b"ios\nsystem\n", "os.system"),
    "obj": (b"(" + SYSTEM + COMMAND + b"o", "os.system"),
    "newobj": (SYSTEM + COMMAND + b"\x85\x81", "os.system"),
    "newobj_ex": (SYSTEM + COMMAND + b"\x85}\x92", "os.system"),
    "build": (SYSTEM + b"}b", "os.system"),
    "in a key": (SYSTEM + b"Nd", "os.system"),
    "eval": (name("builtins", "eval"), "builtins.eval"),
    "python 2 eval": (name("__builtin__", "eval"), "__builtin__.eval"),
    "posix": (name("posix", "system"), "posix.system"),
    "subprocess": (name("subprocess", "Popen"), "subprocess.Popen"),
    "attrgetter": (name("operator", "attrgetter"), "operator.attrgetter"),
    "dotted name": (text("datetime") + text("datetime.sys.modules") + b"\x93", "datetime.datetime.sys.modules"),
    "dotted numpy": (text("numpy") + text("core.os.system") + b"\x93", "numpy.core.os.system"),
    "dotted pandas": (text("pandas") + text("DataFrame.to_pickle") + b"\x93", "pandas.DataFrame.to_pickle"),
    "reading pandas": (name("pandas.io.pickle", "read_pickle"), "pandas.io.pickle.read_pickle"),
    "reading numpy": (name("numpy", "load"), "numpy.load"),
    "numpy's runner": (name("numpy.testing._private.utils", "runstring"), "runstring"),
    "joblib": (name("joblib", "load"), "joblib.load"),
    "xgboost function": (name("xgboost.compat", "import_cupy"), "xgboost.compat.import_cupy"),
    "sklearn function": (name("sklearn.utils._testing", "set_random_state"), "set_random_state"),
    "getattr of a class": (GETATTR + DATE + text("today") + b"\x86R", "datetime.date.today"),
    "getattr chain": (
        GETATTR + GETATTR + DATE + text("__class__") + b"\x86R" + text("mro") + b"\x86R",
        "datetime.date.__class__",
    ),
    "getattr of a value": (GETATTR + text("x") + text("format") + b"\x86R", "builtins.getattr"),
    "getattr of zoneinfo": (
        GETATTR + name("zoneinfo", "ZoneInfo") + text("from_file") + b"\x86R",
        "zoneinfo.ZoneInfo.from_file",
    ),
    "partial": (name("functools", "partial") + DATE + b"\x85R", "functools.partial"),
    "call of a result": (DATE + b")R)R", "a value that it computes itself"),
    "build on a class": (DATE + b"}b", "datetime.date"),
    "call of a type": (name("numpy", "float64") + b")R", "numpy.float64"),
    "script": (name("__main__", "hook"), "__main__.hook"),
    "reconstructor": (name("copyreg", "_reconstructor") + text("x") + b"\x85R", "copyreg._reconstructor"),
    "empty names": (text("") + text("") + b"\x93", "."),
}


MAY_MENTION_A_SCRIPT = ("script", read_model_json)
"""A sklearn wrapper may mention its custom objective."""


@pytest.mark.parametrize(
    ("case", "read"),
    [
        pair
        for case in UNSAFE
        for read in (read_info, read_model_json)
        if (pair := (case, read)) != MAY_MENTION_A_SCRIPT
    ],
)
def test_a_callable_outside_the_table_makes_the_file_unsafe(case: str, read: Callable[[bytes], object]) -> None:
    value, named = UNSAFE[case]
    refusal = refusal_of(read, entry(value))
    assert refusal is not None
    assert refusal.code == "unsafe-pickle"
    assert named in refusal.detail


def test_a_script_function_is_never_called() -> None:
    refusal = refusal_of(read_model_json, entry(name("__main__", "hook") + b")R", "booster"))
    assert refusal is not None
    assert refusal.code == "unsafe-pickle"


def test_unsafe_before_broken() -> None:
    refusal = refusal_of(read_info, SYSTEM + b"\x00 and whatever follows")
    assert refusal is not None
    assert refusal.code == "unsafe-pickle"


LAUGH = b"](" + text("ha") * 10 + b"e"
LAUGHS = (
    b"]q\x00("
    + text("ha") * 10
    + b"e0"
    + b"".join(b"]q" + bytes([level + 1]) + b"(" + (b"h" + bytes([level])) * 10 + b"e0" for level in range(20))
)
CYCLE = b"]q\x00h\x00a"
INDEX = NEW_INDEX + name("pandas", "Index")
BOMBS = {
    "truncated long": b"\x8b\xff\xff\xff\x7f",
    "negative long": b"\x8b\xff\xff\xff\xff",
    "huge bytes": b"\x8e" + struct.pack("<Q", 1 << 62),
    "huge bytearray": b"\x96" + struct.pack("<Q", (1 << 64) - 1),
    "huge text": b"\x8d" + struct.pack("<Q", 1 << 40),
    "huge frame": b"\x95" + struct.pack("<Q", 1 << 40),
    "negative text": b"T\xff\xff\xff\xff",
    "long digits": b"L" + b"9" * 100_000 + b"L\n",
    "int digits": b"I" + b"9" * 100_000 + b"\n",
    "memo far away": b"Nr\xff\xff\xff\xff",
    "memo by text": b"Np99999999999999999999\n",
    "memo never set": b"h\x09",
    "memo bomb": b"N" + b"\x94" * 2_000_000,
    "stack bomb": b"N" * 2_000_000,
    "dup bomb": b"N" + b"2" * 2_000_000,
    "mark bomb": b"(" * 2_000_000,
    "list bomb": b"]" * 2_000_000,
    "deep tuples": b")" + b"\x85" * 900_000,
    "deep lists": b"N" + b"\x85" * 100 + b"]" * 400_000 + b"a" * 400_000,
    "deep calls": DATE + b"q\x000" + b"N" + b"".join(b"\x85q\x010h\x00h\x01R" for _ in range(60_000)),
    "billion laughs": LAUGHS + b"h\x14",
    "cycle": CYCLE,
    "cycle of dicts": b"}q\x00" + text("x") + b"h\x00s",
    "cycle of an index": INDEX + b"}q\x00\x86R0".replace(b"0", b"q\x01") + b"0h\x00" + text("data") + b"h\x01s0h\x01",
    "long name": b"c" + b"o" * 100_000 + b"\nsystem\n",
    "long line": b"V" + b"x" * (20 << 20),
    "pop of nothing": b"0" * 10,
    "list to call": b"N(ld",
    "unknown instruction": b"\xff",
    "protocol 200": b"\x80\xc8",
    "persistent id": b"Nx"[:1] + b"Q",
    "persistent text": b"Pid\n",
    "extension": b"\x82\x01",
    "out of band": b"\x97",
    "huge range": NEW_INDEX
    + name("pandas", "RangeIndex")
    + b"}("
    + text("start")
    + b"K\x00"
    + text("stop")
    + b"\x8a\x08"
    + struct.pack("<q", 1 << 62)
    + text("step")
    + b"K\x01u\x86R",
    "huge empty array": array("f8", b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fK\x00t", b"C\x00"),
    "same array many times": b"]("
    + array("i1", b"M\xff\xff\x85", b"B\xff\xff\x00\x00" + bytes(65_535))
    + b"q\x05"
    + b"h\x05" * 200_000
    + b"e",
    "same bad array many times": b"]("
    + array("S999999", b"K\x01\x85", b"B\xff\xff\x0f\x00" + bytes(0xFFFFF))
    + b"q\x05"
    + b"h\x05" * 200_000
    + b"e",
    "same text many times": b"](" + text("é" * 1_000_000) + b"q\x05" + b"h\x05" * 400_000 + b"e",
    "same encoding many times": b"]("
    + ENCODE
    + text("é" * 1_000_000)
    + text("latin1")
    + b"\x86Rq\x05"
    + b"h\x05" * 400_000
    + b"e",
    "many zones": b"]("
    + b"".join(
        name("datetime", "datetime")
        + b"C\x0a\x07\xe7\x01\x01"
        + bytes(6)
        + name("zoneinfo", "ZoneInfo")
        + text(f"Europe/Nowhere{number}")
        + b"\x85R\x86R"
        for number in range(5_000)
    )
    + b"e",
}


HARMLESS = {"huge empty array", "deep calls", "same bad array many times"}
"""Bombs whose charge is a value that is not read; the rest of the file is."""


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_ends_early(case: str) -> None:
    for read in (read_info, read_model_json):
        refusal = refusal_of(read, entry(BOMBS[case]))
        if refusal is None:
            assert case in HARMLESS
        else:
            assert refusal.code in {"broken-pickle", "unsupported-pickle", "pickle-too-large", "unsupported-model"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "broken-pickle"),
        (b".", "broken-pickle"),
        (b"\x80\x04", "broken-pickle"),
        (b"\x80\x04K\x01.", "unsupported-pickle"),
        (b"\x80\x04].", "unsupported-pickle"),
        (b"not a pickle at all", "broken-pickle"),
    ],
)
def test_what_is_no_dict_is_refused(data: bytes, code: str) -> None:
    refusal = refusal_of(read_info, data)
    assert refusal is not None
    assert refusal.code == code


def test_a_path_traversal_in_a_zone_name_reads_nothing() -> None:
    # The zone's name is no name, so nothing is looked up.
    zone = name("zoneinfo", "ZoneInfo") + text("../../../etc/passwd") + b"\x85R"
    moment = name("datetime", "datetime") + b"C\x0a\x07\xe7\x01\x01" + bytes(6) + zone + b"\x86R"
    info = read_info(entry(moment, "train_end_date"))
    assert "train_end_date" not in info.values
    assert {key for key, _ in info.problems} == {"train_end_date"}


def test_a_known_class_that_is_not_read_is_an_unsupported_value() -> None:
    info = read_info(entry(b"}" + text("when") + name("pandas", "Period") + b")Rs"))
    assert info.values["config"] == {"when": "unsupported value"}
    assert info.problems == (("config", "1 value(s) are of a kind that is not read."),)


def test_numbers_that_are_not_finite_are_missing() -> None:
    info = read_info(entry(b"G" + struct.pack(">d", float("inf")), "train_time"))
    assert info.values == {}
    assert info.problems == (("train_time", "1 number(s) are not finite; they count as missing."),)


@pytest.mark.parametrize("key", ["symbol", "train_samples", "train_window", "selected_factors", "config", "ic_df"])
def test_a_wrong_type_costs_only_its_key(key: str) -> None:
    data = b"\x80\x04}(" + text(key) + b"G" + struct.pack(">d", 0.5) + text("train_time") + b"K\x02u."
    info = read_info(data)
    assert info.values == {"train_time": 2.0}
    assert [name for name, _ in info.problems] == [key]


BOOSTER = name("xgboost.core", "Booster") + b")\x81}" + text("handle")


@pytest.mark.parametrize(
    ("handle", "code"),
    [
        (b"C\x05binf\x00", "old-model-format"),
        (b"C\x12CONFIG-offset:1234", "old-model-format"),
        (b"C\x00", "old-model-format"),
        (b"N", "unfitted-model"),
        (b"K\x01", "unsupported-model"),
        (b"C\x02{L", "broken-pickle"),
        (b"C\x02{}", "unsupported-model"),
        (b'C\x03{"a', "broken-pickle"),
        (b"C\x0c{L" + bytes(7) + b"\xff" + b"ab", "broken-pickle"),
        (b"B" + struct.pack("<I", 600_000) + b'{"":' * 150_000, "broken-pickle"),
    ],
)
def test_booster_bytes_that_are_no_model_are_refused(handle: bytes, code: str) -> None:
    refusal = refusal_of(read_model_json, b"\x80\x04" + BOOSTER + handle + b"sb.")
    assert refusal is not None
    assert refusal.code == code
