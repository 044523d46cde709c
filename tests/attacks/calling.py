"""Every instruction that can name or call, with callables that would do harm."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks.assembling import (
    BOOSTER,
    CODE,
    COMMAND,
    DATE,
    FRAME,
    HARM,
    RUN,
    Answer,
    Attack,
    call,
    data,
    dict_of,
    entry,
    harmless,
    list_of,
    name,
    refused,
    stacked,
    text,
    tuple_of,
    unsafe,
    whole,
)

RUNNERS = {
    "os.system": ("os", "system", text(COMMAND)),
    "posix.system": ("posix", "system", text(COMMAND)),
    "exec": ("builtins", "exec", text(CODE)),
    "eval": ("builtins", "eval", text(CODE)),
    "getoutput": ("subprocess", "getoutput", text(COMMAND)),
    "open": ("builtins", "open", text(HARM) + text("w")),
}
"""Callables that do the harm themselves: module, attribute, arguments."""


def by_every_instruction() -> Iterator[Attack]:
    for label, (module, attribute, arguments) in RUNNERS.items():
        function = name(module, attribute)
        parts = b"(" + arguments + b"t"
        yield unsafe(f"GLOBAL names {label}", entry(function))
        yield unsafe(f"GLOBAL REDUCE {label}", entry(function + parts + b"R"), runs=True)
        yield unsafe(f"STACK_GLOBAL names {label}", entry(stacked(module, attribute)))
        yield unsafe(f"STACK_GLOBAL REDUCE {label}", entry(stacked(module, attribute) + parts + b"R"), runs=True)
        for kind, said in _ways_to_say(module, attribute).items():
            yield unsafe(f"STACK_GLOBAL by {kind} REDUCE {label}", entry(said + b"\x93" + parts + b"R"), runs=True)
        remembered = text(module) + b"q\x000" + text(attribute) + b"q\x010h\x00h\x01\x93"
        yield unsafe(f"STACK_GLOBAL from the memo REDUCE {label}", entry(remembered + parts + b"R"), runs=True)
        yield unsafe(f"INST {label}", entry(b"(" + arguments + f"i{module}\n{attribute}\n".encode()), runs=True)
        yield unsafe(f"OBJ {label}", entry(b"(" + function + arguments + b"o"), runs=True)
        yield unsafe(f"NEWOBJ {label}", entry(function + parts + b"\x81"))
        yield unsafe(f"NEWOBJ_EX {label}", entry(function + parts + b"}\x92"))
        yield unsafe(f"BUILD on {label}", entry(function + b"}b"))
        yield unsafe(f"__newobj__ of {label}", entry(call(name("copyreg", "__newobj__"), function, arguments)))
        yield unsafe(f"EXT4 after {label}", entry(function + b"0\x84\x01\x00\x00\x00"))
    for code, label in ((b"\x82\x01", "EXT1"), (b"\x83\x01\x00", "EXT2"), (b"\x84\x01\x00\x00\x00", "EXT4")):
        yield refused(f"{label} alone", entry(code))
        yield refused(f"{label} called", entry(code + b"(" + text(COMMAND) + b"tR"))
    yield refused("PERSID by text", entry(b"Pos.system\n"))
    yield refused("BINPERSID", entry(text("os.system") + b"Q"))
    yield refused("BINPERSID of a call", entry(tuple_of(text("os"), text("system")) + b"Q" + text(COMMAND) + b"\x85R"))


def _ways_to_say(module: str, attribute: str) -> dict[str, bytes]:
    short = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, attribute))
    long = b"".join(b"\x8d" + len(part).to_bytes(8, "little") + part.encode() for part in (module, attribute))
    escaped = b"".join(
        b"V" + "".join(f"\\u{ord(c):04x}" for c in part).encode() + b"\n" for part in (module, attribute)
    )
    quoted = b"".join(
        b"S'" + "".join(f"\\x{ord(c):02x}" for c in part).encode() + b"'\n" for part in (module, attribute)
    )
    counted = b"".join(b"U" + bytes([len(part)]) + part.encode() for part in (module, attribute))
    return {
        "SHORT_BINUNICODE": short,
        "BINUNICODE8": long,
        "escaped UNICODE": escaped,
        "escaped STRING": quoted,
        "SHORT_BINSTRING": counted,
    }


EXEC = name("builtins", "exec") + text(CODE) + b"\x85R"


def in_every_place() -> Iterator[Attack]:
    for label, run in (("os.system", RUN), ("exec", EXEC)):
        places = {
            "the whole file": whole(run),
            "the whole file without a protocol": run + b".",
            "an unknown key's value": entry(run, "note"),
            "a known key's value": entry(run, "symbol"),
            "a key": whole(b"}" + run + b"Ns"),
            "an item of a list": entry(list_of(b"N", run)),
            "an appended item": entry(b"]" + run + b"a"),
            "an item of a tuple": entry(tuple_of(run, b"N")),
            "a tuple of one": entry(run + b"\x85"),
            "an item of a set": entry(b"\x8f(" + run + b"\x90"),
            "an item of a frozenset": entry(b"(" + run + b"\x91"),
            "what POP throws away": whole(run + b"0}" + text("symbol") + text("BTC") + b"s"),
            "what POP_MARK throws away": whole(b"(" + run + b"1}" + text("symbol") + text("BTC") + b"s"),
            "a value that is overwritten": info_twice(run),
            "the state of a frame": entry(FRAME + b")\x81" + dict_of(_mgr=run) + b"b"),
            "a frame's own attribute": entry(FRAME + b")\x81" + dict_of(_mgr=b"N", note=run) + b"b"),
            "an argument of a date": entry(call(DATE, run)),
            "keyword arguments": entry(DATE + b")}" + text("fold") + run + b"s\x92"),
            "an item of an OrderedDict": entry(call(name("collections", "OrderedDict")) + text("x") + run + b"s"),
            "an item of a deque": entry(call(name("collections", "deque")) + run + b"a"),
            "a Booster's handle": whole(BOOSTER + dict_of(handle=run) + b"b"),
            "a Booster's attribute": whole(BOOSTER + dict_of(handle=b"N", feature_names=run) + b"b"),
            "a wrapper's objective": whole(
                name("xgboost.sklearn", "XGBRegressor") + b")\x81" + dict_of(objective=run, _Booster=b"N") + b"b"
            ),
            "below a dict's model": entry(run, "model"),
            "after other values": whole(list_of(b"N", b"K\x01") + b"0" + run + b"0}"),
            "between a name and its call": entry(DATE + run + b"0)R"),
            "a default factory's side": entry(call(name("collections", "defaultdict"), run)),
        }
        for place, content in places.items():
            yield unsafe(f"{label} in {place}", content, runs=True)


def info_twice(value: bytes) -> bytes:
    return whole(b"}(" + text("config") + value + text("config") + b"}u")


def by_names_with_tricks() -> Iterator[Attack]:
    tricks = {
        "dots in the attribute": ("os", "path.os.system"),
        "dots through an honest module": ("datetime", "sys.modules"),
        "dots through an honest class": ("datetime", "datetime.__class__.__subclasses__"),
        "dots through a reconstructor": ("copyreg", "_reconstructor.__globals__"),
        "dots through dtype": ("numpy", "dtype.__class__"),
        "dots through numpy.core": ("numpy", "core.multiarray.os.system"),
        "dots through pandas": ("pandas", "io.common.os.system"),
        "dots through a frame": ("pandas.core.frame", "DataFrame.to_pickle"),
        "dots through Booster": ("xgboost.core", "Booster.save_model"),
        "dots through a wrapper": ("xgboost.sklearn", "XGBRegressor.load_model"),
        "dots through sklearn": ("sklearn.pipeline", "Pipeline.fit"),
        "dots through Path": ("pathlib", "Path.unlink"),
        "dots through OrderedDict": ("collections", "OrderedDict.__init__.__globals__"),
        "dots through codecs": ("_codecs", "encode.__self__"),
        "an empty module": ("", "system"),
        "an empty attribute": ("os", ""),
        "both empty": ("", ""),
        "a space before": (" os", "system"),
        "a space behind": ("os ", "system"),
        "a tab": ("os\t", "system"),
        "another case": ("OS", "System"),
        "a relative module": (".os", "system"),
        "two dots": ("os..", "system"),
        "a zero byte": ("os\0", "system"),
        "a zero byte after an honest name": ("builtins\0", "list"),
        "letters that look alike": ("оs", "ѕystem"),
        "letters that Python folds": ("ｏｓ", "system"),
        "half a surrogate pair": ("os\ud800", "system"),
        "half a surrogate pair in the attribute": ("os", "system\udfff"),
        "a path": ("../os", "system"),
        "a file": ("/tmp/evil", "run"),
        "a file's name": ("os.py", "system"),
        "a trailing carriage return": ("os\r", "system\r"),
        "a byte order mark": ("\ufeffos", "system"),
        "a name of 256 characters": ("o" * 256, "s"),
        "right-to-left": ("os\u202e", "metsys"),
        "pandas with a function": ("pandas", "to_pickle"),
        "pandas in another package": ("pandas_evil", "DataFrame"),
        "numpy in another package": ("numpyx", "ndarray"),
        "numpy._core with a suffix": ("numpy._corex.multiarray", "_reconstruct"),
        "xgboost in another package": ("xgboostx.core", "Booster"),
        "xgboost in lower case": ("xgboost.core", "booster"),
        "an honest name in another module": ("os", "OrderedDict"),
        "collections.abc": ("collections.abc", "Counter"),
        "a script's private name": ("__main__", "_hook"),
        "a script's module": ("__main__.os", "system"),
        "the multiprocessing script": ("__mp_main__", "hook"),
    }
    for label, (module, attribute) in tricks.items():
        yield unsafe(f"a name with {label}", entry(stacked(module, attribute)))
    yield refused("a name of bytes", entry(data(b"os") + data(b"system") + b"\x93"))
    yield refused("a name of numbers", entry(b"K\x01K\x02\x93"))
    yield refused("a name of a name", entry(DATE + text("today") + b"\x93"))
    yield refused("a name of a call", entry(call(name("builtins", "str")) + text("system") + b"\x93"))
    yield refused("a name of 257 characters", entry(stacked("o" * 257, "s")))
    yield refused("a name of a list", entry(list_of(text("os")) + text("system") + b"\x93"))
    yield refused("a name that is not UTF-8", entry(b"c\xff\xfe\nsystem\n"))
    yield refused("a name without an end", whole(b"cos\nsystem"))
    yield Attack(
        "a script's function, mentioned", entry(name("__main__", "hook"), "model"), Answer.UNSAFE, Answer.REFUSED
    )
    yield unsafe("a script's function, called", entry(call(name("__main__", "hook")), "model"))
    yield unsafe("a script's class, made", entry(name("__main__", "Hook") + b")\x81", "model"))
    yield unsafe("a script's class, made and built", entry(name("__main__", "Hook") + b")\x81}b", "model"))
    yield unsafe("a script's class by INST", entry(b"(i__main__\nHook\n", "model"))
    yield unsafe("a script's class by OBJ", entry(b"(" + name("__main__", "Hook") + b"o", "model"))
    yield unsafe("a script's function, built", entry(name("__main__", "hook") + b"}b", "model"))
    for label, module, attribute in (
        ("an invented xgboost class", "xgboost.invented", "Popen"),
        ("an invented sklearn class", "sklearn.os", "System"),
        ("a class that is a library", "xgboost.core", "_LIB"),
        ("an invented lightgbm class", "lightgbm.x.y.z", "Exec"),
    ):
        yield harmless(f"{label}, mentioned", entry(dict_of(v=name(module, attribute))), {"v": "unsupported value"})
        made = call(name(module, attribute), text(COMMAND))
        yield harmless(f"{label}, called", entry(dict_of(v=made)), {"v": "unsupported value"})
    yield unsafe("a class in a package with half a surrogate pair", entry(call(stacked("xgboost.\ud800", "Booster"))))
    yield unsafe("a class with half a surrogate pair alone", whole(stacked("xgboost.\ud800", "Booster")))
    yield unsafe("an object of a class with half a surrogate pair", whole(call(stacked("sklearn.\udfff", "Pipeline"))))
