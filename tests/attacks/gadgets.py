"""Chains of names that honest pickles use, put together so that they would reach what no honest pickle needs."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks.assembling import (
    BOOSTER,
    CODE,
    COMMAND,
    DATE,
    ENCODE,
    FRAME,
    GETATTR,
    NDARRAY,
    NEW_INDEX,
    RECONSTRUCT,
    SYSTEM,
    Attack,
    array,
    block,
    built,
    call,
    columns_from,
    counted,
    data,
    dict_of,
    dtype,
    entry,
    frame,
    harmless,
    labels,
    list_of,
    name,
    number,
    refused,
    stacked,
    text,
    tuple_of,
    unsafe,
    whole,
)

PARTIAL = name("functools", "partial")
NEW = name("copyreg", "__newobj__")
RECONSTRUCTOR = name("copyreg", "_reconstructor")
OBJECT = name("builtins", "object")
DEFAULTDICT = name("collections", "defaultdict")
NOT_READ = {"v": "unsupported value"}


def _attribute(owner: bytes, attribute: str) -> bytes:
    return call(GETATTR, owner, text(attribute))


def by_attributes() -> Iterator[Attack]:
    owners = {
        "date": DATE,
        "object": OBJECT,
        "OrderedDict": name("collections", "OrderedDict"),
        "dtype": name("numpy", "dtype"),
        "ndarray": NDARRAY,
        "frame": FRAME,
        "Booster": name("xgboost.core", "Booster"),
        "Path": name("pathlib", "PosixPath"),
        "ZoneInfo": name("zoneinfo", "ZoneInfo"),
        "partial": PARTIAL,
        "reconstructor": RECONSTRUCTOR,
        "getattr itself": GETATTR,
        "encode": ENCODE,
        "a wrapper": name("xgboost.sklearn", "XGBRegressor"),
    }
    for label, owner in owners.items():
        yield unsafe(f"getattr __class__ of {label}", entry(_attribute(owner, "__class__")))
        yield unsafe(f"getattr __init__ of {label}", entry(_attribute(owner, "__init__")))
    chain = _attribute(_attribute(_attribute(OBJECT, "__class__"), "__subclasses__"), "__globals__")
    yield unsafe("getattr of getattr of getattr", entry(chain))
    yield unsafe("getattr of a text", entry(_attribute(text("x"), "format")))
    yield unsafe("getattr of a list", entry(_attribute(b"]", "sort")))
    yield unsafe("getattr of a call", entry(_attribute(call(DATE, data(b"\x07\xe8\x01\x01")), "__class__")))
    yield unsafe("getattr of a call's name by memo", entry(GETATTR + b"q\x000h\x00" + tuple_of(b"N", text("x")) + b"R"))
    yield unsafe("getattr with a default", entry(call(GETATTR, DATE, text("nothing"), SYSTEM)))
    yield refused("getattr with a name of bytes", entry(call(GETATTR, DATE, data(b"today"))))
    yield unsafe("getattr by OBJ", entry(b"(" + GETATTR + DATE + text("today") + b"o"))
    yield unsafe("getattr by INST", entry(b"(" + DATE + text("today") + b"ibuiltins\ngetattr\n"))
    yield unsafe("getattr by NEWOBJ", entry(GETATTR + tuple_of(DATE, text("today")) + b"\x81"))
    yield unsafe("getattr by NEWOBJ_EX", entry(GETATTR + tuple_of(DATE, text("today")) + b"}\x92"))
    yield unsafe("getattr by __newobj__", entry(call(NEW, GETATTR, DATE, text("today"))))
    yield unsafe("getattr of Python 2", entry(call(name("__builtin__", "getattr"), DATE, text("today"))))
    yield unsafe("getattr with dots", entry(_attribute(DATE, "today.__globals__")))
    yield unsafe("getattr to a file reader", entry(_attribute(name("zoneinfo", "ZoneInfo"), "from_file")))
    yield unsafe("getattr without arguments", entry(call(GETATTR)))
    yield unsafe("getattr on a script", entry(_attribute(name("__main__", "hook"), "__globals__"), "model"))
    harmful = _attribute(call(stacked("builtins", "__import__"), text("os")), "system")
    yield unsafe("getattr of an import", entry(call(harmful, text(COMMAND))), runs=True)


def by_functions_that_call() -> Iterator[Attack]:
    system, wanted = stacked("os", "system"), text(COMMAND)
    calls = {
        "map": call(name("builtins", "list"), call(name("builtins", "map"), system, list_of(wanted))),
        "filter": call(name("builtins", "list"), call(name("builtins", "filter"), system, list_of(wanted))),
        "reduce": call(
            name("functools", "reduce"),
            stacked("builtins", "exec"),
            list_of(text(CODE), b"}"),
        ),
        "partial": call(call(PARTIAL, system, wanted)),
        "partial of exec": call(call(PARTIAL, stacked("builtins", "exec")), text(CODE)),
        "methodcaller": call(
            call(name("operator", "methodcaller"), text("system"), wanted),
            call(name("builtins", "__import__"), text("os")),
        ),
        "attrgetter": call(
            call(
                call(name("operator", "attrgetter"), text("system")), call(name("builtins", "__import__"), text("os"))
            ),
            wanted,
        ),
        "operator.call": call(name("operator", "call"), system, wanted),
        "starmap": call(
            name("builtins", "list"), call(name("itertools", "starmap"), system, list_of(tuple_of(wanted)))
        ),
        "a default factory": call(
            name("operator", "getitem"), call(DEFAULTDICT, call(PARTIAL, system, wanted)), b"K\x01"
        ),
        "iter until": call(
            name("builtins", "next"), call(name("builtins", "iter"), call(PARTIAL, system, wanted), b"K\x07")
        ),
        "compile and exec": call(
            name("builtins", "exec"), call(name("builtins", "compile"), text(CODE), text("x"), text("exec"))
        ),
        "pickle in a pickle": call(name("_pickle", "loads"), data(b"cos\nsystem\n" + text(COMMAND) + b"\x85R.")),
        "numpy's vectorize": call(call(name("numpy", "vectorize"), system), list_of(wanted)),
        "a thread": call(name("threading", "Timer"), b"K\x00", system),
        "a finalizer": call(name("weakref", "finalize"), call(name("collections", "OrderedDict")), system, wanted),
        "a weak callback": call(name("weakref", "ref"), call(name("collections", "OrderedDict")), system),
        "runpy": call(
            name("runpy", "_run_code"), call(name("builtins", "compile"), text(CODE), text("x"), text("exec")), b"}"
        ),
        "timeit": call(name("timeit", "timeit"), text(CODE), text("pass"), name("time", "perf_counter"), b"K\x01"),
        "a debugger": call(name("pdb", "run"), text(CODE)),
        "a profiler": call(name("cProfile", "run"), text(CODE)),
    }
    ran = frozenset(calls) - {"a thread", "a weak callback", "a debugger", "a finalizer"}
    for label, content in calls.items():
        yield unsafe(f"a chain through {label}", entry(content), runs=label in ran)


def through_reconstructors() -> Iterator[Attack]:
    wanted = text(COMMAND)
    yield unsafe("_reconstructor of os.system", entry(call(RECONSTRUCTOR, SYSTEM, OBJECT, b"N")))
    yield unsafe("_reconstructor of a text", entry(call(RECONSTRUCTOR, text("os.system"), OBJECT, b"N")))
    yield unsafe("_reconstructor of a call", entry(call(RECONSTRUCTOR, call(DATE), OBJECT, b"N")))
    yield unsafe("_reconstructor of nothing", entry(call(RECONSTRUCTOR)))
    yield unsafe("_reconstructor with a base that calls", entry(call(RECONSTRUCTOR, DATE, SYSTEM, wanted)))
    yield unsafe("__newobj__ of os.system with an argument", entry(call(NEW, SYSTEM, wanted)))
    yield unsafe("__newobj__ of a call", entry(call(NEW, call(DATE), wanted)))
    yield unsafe("__newobj__ of nothing", entry(call(NEW)))
    yield unsafe("__newobj_ex__ of os.system", entry(call(name("copyreg", "__newobj_ex__"), SYSTEM, b")", b"}")))
    yield unsafe("__newobj_ex__ of a text", entry(call(name("copyreg", "__newobj_ex__"), wanted, b")", b"}")))
    yield unsafe("_reconstruct_ex of Python 2", entry(call(name("copy_reg", "_reconstruct_ex"), SYSTEM)))
    yield unsafe("a call of a call", entry(call(call(DATE))))
    yield unsafe("a call of a date", entry(call(call(DATE, data(b"\x07\xe8\x01\x01")), wanted)))
    yield unsafe("a call of a text", entry(call(wanted)))
    yield unsafe("a call of None", entry(call(b"N")))
    yield unsafe("a call of a dict", entry(call(b"}")))
    yield unsafe("a call of a number type", entry(call(name("numpy", "float64"), number(1))))
    yield unsafe("a call of NA", entry(call(name("pandas._libs.missing", "NA"))))
    yield unsafe("a call of Ellipsis", entry(call(name("builtins", "Ellipsis"))))
    yield unsafe(
        "a call of a metric", entry(call(name("sklearn.metrics._classification", "log_loss"), wanted), "model")
    )
    yield unsafe("partial of a date", entry(call(PARTIAL, DATE)))
    yield unsafe(
        "partial of partial", entry(call(PARTIAL, call(PARTIAL, name("pandas.core.internals.blocks", "new_block"))))
    )
    yield unsafe(
        "partial with an argument", entry(call(PARTIAL, name("pandas.core.internals.blocks", "new_block"), wanted))
    )
    yield unsafe("partial of nothing", entry(call(PARTIAL)))
    yield unsafe(
        "partial called with too much", entry(call(call(PARTIAL, name("pandas", "new_block")), b"N", b"N", b"N"))
    )
    yield harmless(
        "a partial whose state would change its function",
        entry(dict_of(v=built(PARTIAL, (name("pandas", "new_block"),), tuple_of(wanted, b")", b"}", b"N")))),
        NOT_READ,
    )
    for owner, label in (
        (DATE, "date"),
        (NDARRAY, "ndarray"),
        (FRAME, "DataFrame"),
        (name("xgboost.core", "Booster"), "Booster"),
    ):
        yield unsafe(f"BUILD on the class {label}", entry(owner + dict_of(__setstate__=wanted) + b"b"))
        yield unsafe(f"BUILD on the class {label} with slots", entry(owner + tuple_of(b"N", dict_of(x=wanted)) + b"b"))
        yield unsafe(
            f"{label} given __setstate__ by os.system",
            entry(owner + b")\x81" + dict_of(__setstate__=SYSTEM) + b"b" + wanted + b"b"),
        )
        yield unsafe(
            f"{label} given __reduce__ by exec",
            entry(owner + b")\x81" + dict_of(__reduce__=name("builtins", "exec")) + b"b"),
        )
    yield refused("BUILD on a list", entry(b"]}b"))
    yield refused("BUILD on a dict", entry(b"}}b"))
    yield refused("BUILD on a text", entry(wanted + b"}b"))
    yield refused("BUILD on a number", entry(b"K\x01}b"))


def through_states() -> Iterator[Attack]:
    """States of honest classes that hold what would run, or that lie about what they are."""
    run = call(SYSTEM, text(COMMAND))
    places = {
        "a dtype's byte order": dtype("f8", b"(K\x03" + run + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"),
        "a dtype's fields": dtype("V8", b"(K\x03" + text("|") + b"N" + tuple_of(run) + b"}K\x08K\x01K\x10t"),
        "a dtype's metadata": dtype(
            "M8", b"(K\x04" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00" + tuple_of(b"}", run) + b"t"
        ),
        "an object array": array("O8", b"K\x01\x85", list_of(run)),
        "an array's shape": array("f8", run, b"C\x00"),
        "an array's bytes": array("f8", b"K\x01\x85", run),
        "an array's class": call(RECONSTRUCT, run, b"K\x00\x85", b"C\x01b"),
        "a scalar": call(name("numpy.core.multiarray", "scalar"), dtype("O8"), run),
        "a frame's axes": frame(run, counted(1)),
        "a frame's block": frame(labels("a"), counted(1), run),
        "a block's content": frame(labels("a"), counted(1), block(run, columns_from(0, 1))),
        "a block's placement": frame(labels("a"), counted(1), block(b"N", run)),
        "an index's name": call(
            NEW_INDEX,
            name("pandas.core.indexes.range", "RangeIndex"),
            dict_of(name=run, start=b"K\x00", stop=b"K\x01", step=b"K\x01"),
        ),
        "an index's class": call(NEW_INDEX, run, b"}"),
        "a zone": call(name("datetime", "datetime"), data(bytes(10)), run),
        "a timestamp": call(name("pandas._libs.tslibs.timestamps", "_unpickle_timestamp"), b"K\x01", b"N", run),
        "an Arrow array": call(name("pyarrow.lib", "_restore_array"), tuple_of(run)),
        "an Arrow buffer": call(name("pyarrow.lib", "py_buffer"), run),
        "a codec's text": call(ENCODE, run, text("latin1")),
        "a codec's name": call(ENCODE, text("x"), run),
        "a decimal": call(name("decimal", "Decimal"), run),
        "a default factory": call(DEFAULTDICT, SYSTEM),
        "a Counter": call(name("collections", "Counter"), run),
        "a namespace": built(name("types", "SimpleNamespace"), (), dict_of(x=run)),
        "a path's part": call(name("pathlib", "PosixPath"), run),
    }
    for place, content in places.items():
        yield unsafe(f"os.system as {place}", entry(content))
    for codec in ("rot13", "hex", "zip", "bz2", "base64", "uu", "quopri", "idna", "punycode", "unicode_escape", "mbcs"):
        made = call(ENCODE, text("pbf.flfgrz"), text(codec))
        yield harmless(f"a text through the codec {codec}", entry(dict_of(v=made)), NOT_READ)
    made_names = {
        "encode": call(ENCODE, text("system"), text("latin1")),
        "str": call(name("builtins", "str"), text("system")),
        "bytes": call(name("builtins", "bytes"), data(b"system")),
        "getattr of a text": _attribute(text("system"), "lower"),
        "a path": call(name("pathlib", "PurePath"), text("system")),
        "join by Counter": call(name("collections", "Counter"), text("system")),
    }
    for label, made in made_names.items():
        yield _computed_name(label, made)
    not_read = {
        "int of a text": call(name("builtins", "int"), text("9" * 4000)),
        "bool": call(name("builtins", "bool"), text(COMMAND)),
        "float": call(name("builtins", "float"), text("1e999")),
        "range": call(name("builtins", "range"), number(1 << 62)),
        "slice": call(name("builtins", "slice"), b"N", b"N", b"N"),
        "a bare object": call(OBJECT),
        "a matrix": call(name("numpy", "matrix"), text(CODE)),
        "a memory map": call(name("numpy", "memmap"), text("/etc/passwd")),
        "a joblib array": call(name("joblib.numpy_pickle", "NumpyArrayWrapper")),
        "a local zone": call(name("dateutil.tz", "tzlocal")),
        "a random state": call(name("numpy.random", "__RandomState_ctor")),
        "a masked array": call(name("numpy.ma.core", "_mareconstruct"), NDARRAY, NDARRAY, b"K\x00\x85", text("f8")),
        "a relative delta": call(name("dateutil.relativedelta", "relativedelta"), text(COMMAND)),
    }
    for label, made in not_read.items():
        yield harmless(f"{label} is not made", entry(dict_of(v=made)), NOT_READ)
    yield refused("a Booster that would load a file", whole(BOOSTER + dict_of(handle=text("/etc/passwd")) + b"b"))
    yield refused(
        "a Booster made with a file", whole(call(name("xgboost.core", "Booster"), b"N", b"N", text("/etc/passwd")))
    )
    yield harmless(
        "a path outside",
        entry(dict_of(v=call(name("pathlib", "PosixPath"), text("/etc/passwd")))),
        {"v": "/etc/passwd"},
    )
    zone = call(name("zoneinfo", "ZoneInfo"), text("../../../etc/passwd"))
    moment = call(name("datetime", "datetime"), data(b"\x07\xe7\x01\x01" + bytes(6)), zone)
    yield harmless("a zone that leaves the database", entry(dict_of(v=moment)), NOT_READ)
    for zone_name in (
        "/etc/passwd",
        "Europe/../../../etc/passwd",
        "tzdata.evil",
        "os",
        "A\0B",
        "Europe/" * 30,
        "a" * 10_000,
    ):
        moment = call(
            name("datetime", "datetime"),
            data(b"\x07\xe7\x01\x01" + bytes(6)),
            call(name("zoneinfo", "ZoneInfo"), text(zone_name)),
        )
        yield harmless(f"a zone named {zone_name[:20]!r}", entry(dict_of(v=moment)), NOT_READ)
    for path in ("/etc/passwd", "zoneinfo/../../etc/passwd", "/usr/share/zoneinfo/../../../etc/hostname"):
        moment = call(
            name("datetime", "datetime"),
            data(b"\x07\xe7\x01\x01" + bytes(6)),
            call(name("dateutil.tz", "tzfile"), text(path)),
        )
        yield harmless(f"a zone file {path}", entry(dict_of(v=moment)), NOT_READ)
    yield harmless(
        "a state that replaces a state",
        entry(dict_of(v=built(name("types", "SimpleNamespace"), (), dict_of(a=b"K\x01")) + dict_of(b=b"K\x02") + b"b")),
        {"v": {"b": 2}},
    )


def _computed_name(label: str, made: bytes) -> Attack:
    content = entry(text("os") + made + b"\x93")
    return (
        unsafe(f"a name computed by {label}", content)
        if "getattr" in label
        else refused(f"a name computed by {label}", content)
    )
