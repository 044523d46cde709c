"""The table of names that an honest pickle refers to.

A pickle names callables by module and attribute. The table says which names occur in the pickles that pandas, NumPy,
XGBoost and the standard library write; everything else makes the file unsafe. Being in the table never means being
imported or called: it means that a decoder may know the shape, or that the value is harmlessly unsupported.

Names move between library generations, so a known name has one canonical ``path``: ``numpy._core`` is ``numpy.core``,
``__builtin__`` is ``builtins``, ``copy_reg`` is ``copyreg``, and every pandas class is ``pandas.CLASS``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto


class Role(Enum):
    """What an honest file may do with a name: build a value with it, mention it, or mention it as its own script's."""

    CONSTRUCTOR = auto()
    REFERENCE = auto()
    SCRIPT = auto()


@dataclass(frozen=True, slots=True)
class KnownName:
    """A name of the table under its canonical path."""

    path: str
    role: Role


_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "pathlib._local": "pathlib",
    "backports.zoneinfo": "zoneinfo",
    "dateutil.tz.tz": "dateutil.tz",
    "_pydecimal": "decimal",
    "pyarrow": "pyarrow.lib",
    "numpy.ma": "numpy.ma.core",
}

_CONSTRUCTORS = {
    "builtins": "bool bytearray bytes complex dict float frozenset getattr int list object range set slice str tuple",
    "copyreg": "_reconstructor __newobj__ __newobj_ex__",
    "_codecs": "encode",
    "functools": "partial",
    "collections": "Counter OrderedDict defaultdict deque",
    "datetime": "date datetime time timedelta timezone tzinfo",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "uuid": "UUID",
    "types": "SimpleNamespace",
    "argparse": "Namespace",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "zoneinfo": "ZoneInfo ZoneInfo._unpickle",
    "pytz": "_UTC _p FixedOffset _FixedOffset",
    "dateutil.tz": "tzutc tzlocal tzoffset tzfile",
    "dateutil.tz._tzfile": "_unpickle tzfile",
    "dateutil.zoneinfo": "tzfile",
    "dateutil.relativedelta": "relativedelta",
    "numpy": "dtype ndarray matrix memmap recarray record",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy.ma.core": "_mareconstruct MaskedArray",
    "numpy.random": "__RandomState_ctor",
    "numpy.random._pickle": "__randomstate_ctor __generator_ctor __bit_generator_ctor",
    "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
    "pyarrow.lib": (
        "_restore_array chunked_array type_for_alias py_buffer timestamp duration time32 time64 decimal128 list_ "
        "large_list dictionary field struct map_ DictionaryType"
    ),
    "joblib.numpy_pickle": "NumpyArrayWrapper",
}

_REFERENCES = {
    "builtins": "Ellipsis NotImplemented",
    "numpy": (
        "bool bool_ str_ bytes_ object_ void datetime64 timedelta64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
        "intc uintc longlong ulonglong int_ uint float16 float32 float64 float_ longdouble complex64 complex128"
    ),
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64 PCG64DXSM",
    "numpy.random._philox": "Philox",
    "numpy.random._sfc64": "SFC64",
    "numpy.random.bit_generator": "BitGenerator",
    "numpy.random.mtrand": "RandomState",
    "numpy.random._generator": "Generator",
    "pyarrow.lib": "NA",
}

_PANDAS_CONSTRUCTOR_NAMES = (
    "DataFrame Series BlockManager SingleBlockManager BlockPlacement _unpickle_block new_block make_block "
    "ExtensionBlock FloatBlock IntBlock ObjectBlock BoolBlock DatetimeBlock NumericBlock CategoricalBlock Index "
    "Int64Index UInt64Index Float64Index RangeIndex MultiIndex DatetimeIndex TimedeltaIndex PeriodIndex "
    "IntervalIndex CategoricalIndex FrozenList FrozenNDArray _new_Index _new_DatetimeIndex _new_TimedeltaIndex "
    "_new_PeriodIndex _new_IntervalIndex Timestamp Timedelta Period Interval NaTType NAType _unpickle_timestamp "
    "_timedelta_unpickle __nat_unpickle _nat_unpickle Flags Categorical DatetimeArray TimedeltaArray PeriodArray "
    "IntervalArray SparseArray IntegerArray FloatingArray BooleanArray StringArray PandasArray "
    "NumpyExtensionArray NumpyEADtype ArrowStringArray ArrowExtensionArray ArrowStringArrayNumpySemantics "
    "StringArrayNumpySemantics PandasDtype ArrowDtype StringDtype CategoricalDtype DatetimeTZDtype PeriodDtype "
    "IntervalDtype SparseDtype BooleanDtype Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype "
    "UInt32Dtype UInt64Dtype Float32Dtype Float64Dtype __pyx_unpickle_NDArrayBacked _NoDefault BaseOffset "
    "DateOffset Tick Day Hour Minute Second Milli Micro Nano BDay BusinessDay BusinessHour Week WeekOfMonth "
    "LastWeekOfMonth MonthBegin MonthEnd BMonthBegin BMonthEnd BusinessMonthBegin BusinessMonthEnd SemiMonthBegin "
    "SemiMonthEnd QuarterBegin QuarterEnd BQuarterBegin BQuarterEnd YearBegin YearEnd BYearBegin BYearEnd"
)
_PANDAS_CONSTRUCTORS = frozenset(_PANDAS_CONSTRUCTOR_NAMES.split())
_PANDAS_REFERENCES = frozenset(["NA", "NaT"])

_MODULE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*\Z")
_CLASS = re.compile(r"_{0,2}(?:pyx_unpickle_)?[A-Z][A-Za-z0-9_]*\Z")
_FUNCTION = re.compile(r"_?[a-z][a-z0-9_]*\Z")
_CLASS_PACKAGES = frozenset(["xgboost", "sklearn", "lightgbm", "catboost", "imblearn"])
"""Packages whose classes may stand around a booster; their instances are never made, their other names are unsafe."""

_TABLE = {
    f"{module}.{name}": KnownName(f"{module}.{name}", role)
    for role, modules in ((Role.REFERENCE, _REFERENCES), (Role.CONSTRUCTOR, _CONSTRUCTORS))
    for module, names in modules.items()
    for name in names.split()
}


def known_name(module: str, name: str) -> KnownName | None:
    """Return the table's entry for a name that a file refers to, None for a name that no honest file needs."""
    module = _MODULES.get(module, module)
    if module.startswith("numpy._core"):
        module = "numpy.core" + module.removeprefix("numpy._core")
    found = _TABLE.get(f"{module}.{name}") if _is_module_of_table(module) else None
    if found is not None:
        return found
    package = module.partition(".")[0]
    if package == "pandas":
        return _known_pandas_name(name)
    if package in _CLASS_PACKAGES:
        return _known_class(module, name)
    if module == "__main__" and name.isidentifier() and not name.startswith("_"):
        return KnownName(f"__main__.{name}", Role.SCRIPT)
    return None


def _is_module_of_table(module: str) -> bool:
    return module in _CONSTRUCTORS or module in _REFERENCES


def _known_pandas_name(name: str) -> KnownName | None:
    if name in _PANDAS_CONSTRUCTORS:
        return KnownName(f"pandas.{name}", Role.CONSTRUCTOR)
    if name in _PANDAS_REFERENCES:
        return KnownName(f"pandas.{name}", Role.REFERENCE)
    return None


def _known_class(module: str, name: str) -> KnownName | None:
    if not _MODULE.match(module):
        return None
    if _CLASS.match(name):
        return KnownName(f"{module}.{name}", Role.CONSTRUCTOR)
    if module.startswith("sklearn.metrics") and _FUNCTION.match(name):
        return KnownName(f"{module}.{name}", Role.REFERENCE)  # an eval_metric is often one of them
    return None
