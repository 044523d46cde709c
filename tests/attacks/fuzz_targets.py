"""What the fuzzer calls: the opcode reader and every decoder, each with seeds from the honest fixtures and the corpus.

A target returns, or raises `UnreadableArtifact` or a decoder's `CannotDecode`; whatever else leaves it is a defect.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from sklearn.preprocessing import RobustScaler, StandardScaler

from mm_core import strict_json
from mm_core.artifacts.pickles import read_model_json, read_scaler
from mm_core.artifacts.pickles.decode_arrow import arrow_values
from mm_core.artifacts.pickles.decode_columns import EXTENSION_ARRAYS, row_lists, values_of
from mm_core.artifacts.pickles.decode_numpy import array_of, array_type_of
from mm_core.artifacts.pickles.decode_times import zone_of
from mm_core.artifacts.pickles.decode_values import DECODERS, new_decoding
from mm_core.artifacts.pickles.decoding import CannotDecode, Decoding, buffer_of
from mm_core.artifacts.pickles.interpreter import DEFAULT_LIMITS, read_pickle
from mm_core.artifacts.pickles.nodes import Call, Global, Items, Pairs
from mm_core.artifacts.pickles.ubjson import ubjson_to_json
from mm_core.artifacts.readers.info_pkl import read_training_info
from mm_core.artifacts.readers.model_json import read_booster
from mm_core.artifacts.readers.report import FileReport
from mm_core.errors import UnreadableArtifact
from tests.attacks.hostile_pickles import attacks_of
from tests.honest_pickles import honest

LARGEST_SEED = 6_000
MOST_SEEDS = 60
FEWEST_SEEDS = 20
MOST_NODES = 2_000


@dataclass(frozen=True, slots=True)
class Target:
    """A reader, and what a file must mention to be one of its seeds."""

    run: Callable[[bytes], object]
    mentioned: bytes
    is_pickle: bool = True


def _calls(node: object) -> Iterator[Call]:
    """Yield the calls below a node, each once."""
    waiting, seen = [node], set()
    while waiting and len(seen) < MOST_NODES:
        here = waiting.pop()
        if id(here) in seen or isinstance(here, (str, bytes, bytearray, int, float, Global)) or here is None:
            continue
        seen.add(id(here))
        if isinstance(here, Call):
            yield here
            waiting += [here.function, here.arguments, here.state, here.items, here.pairs]
        elif isinstance(here, (Pairs, Items)):
            waiting += here.entries
        elif isinstance(here, (list, tuple)):
            waiting += here


def _of_calls(decode: Callable[[Decoding, Call], object]) -> Callable[[bytes], object]:
    """Return a target that tries one decoder on every call of a pickle, whatever its name."""

    def run(data: bytes) -> None:
        for call in _calls(read_pickle(data)):
            decoding = new_decoding(DEFAULT_LIMITS)
            try:
                decoding.attempt(lambda call=call, decoding=decoding: decode(decoding, call))  # type: ignore[misc]
            except (CannotDecode, UnreadableArtifact):
                continue

    return run


def _by_names(names: re.Pattern[str]) -> Callable[[bytes], object]:
    """Return a target that decodes the calls with such names and writes what comes out."""

    def decode(decoding: Decoding, call: Call) -> None:
        if names.match(call.path):
            strict_json.encode(decoding.plain(call))

    return _of_calls(decode)


def _numpy(decoding: Decoding, call: Call) -> None:
    if call.path == "numpy.dtype":
        array_type_of(decoding, call)
    elif call.path.startswith("numpy"):
        array_of(decoding, call)
        strict_json.encode(decoding.plain(call))


def _columns(decoding: Decoding, call: Call) -> None:
    if call.path in EXTENSION_ARRAYS or call.path.startswith("numpy"):
        row_lists(decoding, call)
        values_of(decoding, call, None)


def _times(decoding: Decoding, call: Call) -> None:
    if call.path.startswith(("pytz", "dateutil", "zoneinfo", "datetime.timezone")):
        zone_of(decoding, call, local=True)
        zone_of(decoding, call, local=False)
    elif call.path.startswith(("datetime", "pandas.T", "pandas._")):
        strict_json.encode(decoding.plain(call))


def _info(data: bytes) -> None:
    report = FileReport("X_info.pkl")
    strict_json.encode([read_training_info(data, report), report.findings()])


def _model(data: bytes) -> None:
    strict_json.encode(read_booster(read_model_json(data), FileReport("X_model.pkl")))


def _scaler(data: bytes) -> None:
    found = read_scaler(data, "xgboost")
    assert len(found.centre) == len(found.scale)
    assert all(map(math.isfinite, (*found.centre, *found.scale)))


def _opcodes(data: bytes) -> None:
    read_pickle(data, script_names=True)
    read_pickle(data)


def _ubjson(data: bytes) -> None:
    ubjson_to_json(data, frozenset(["Model", "learner"]))
    ubjson_to_json(data, frozenset())


def _self_test(data: bytes) -> None:
    node = read_pickle(data)
    if isinstance(node, Pairs) and not node.entries:
        raise RecursionError("the fuzzer finds what it shall find")


TARGETS = {
    "opcodes": Target(_opcodes, b""),
    "numpy": Target(_of_calls(_numpy), b"numpy"),
    "pandas": Target(
        _by_names(re.compile(r"pandas\.(DataFrame|Series|_new_|Timed|Timestamp|_\w+_unpickle|NA)")), b"pandas"
    ),
    "columns": Target(_of_calls(_columns), b"pandas"),
    "arrow": Target(_of_calls(arrow_values), b"pyarrow"),
    "times": Target(_of_calls(_times), b"datetime"),
    "values": Target(_by_names(re.compile("|".join(f"{re.escape(name)}$" for name in DECODERS))), b"config"),
    "info": Target(_info, b"_info"),
    "ubjson": Target(_ubjson, b"_model", is_pickle=False),
    "model": Target(_model, b"_model"),
    "scaler": Target(_scaler, b"sklearn"),
}
SELF_TEST = "self-test"
TARGETS_AND_SELF_TEST = {**TARGETS, SELF_TEST: Target(_self_test, b"")}


def seeds_of(name: str) -> list[bytes]:
    """Return the smallest honest files that belong to a target, and small hostile ones of its shape."""
    target = TARGETS_AND_SELF_TEST[name]
    wanted = target.mentioned
    files = honest_files()
    if not target.is_pickle:
        return sorted({_handle(content) for said, content in files if wanted in said} - {b""}, key=len)[:FEWEST_SEEDS]
    chosen = {content for said, content in files if wanted in said}
    if wanted not in (b"_info", b"_model"):
        chosen |= {attack for attack in hostile_shapes() if wanted in attack}
    small = sorted((content for content in chosen if len(content) <= LARGEST_SEED), key=lambda data: (len(data), data))
    step = max(1, len(small) // MOST_SEEDS)
    return small[::step] or sorted(chosen, key=len)[:FEWEST_SEEDS]


@cache
def honest_files() -> tuple[tuple[bytes, bytes], ...]:
    """Return what each honest file mentions, its kind included, and its content; made once for all targets."""
    return tuple((kind.encode() + content, content) for kind, content in (*honest(), *_scalers()))


@cache
def hostile_shapes() -> tuple[bytes, ...]:
    """Return the hostile pickles of every shape of call; made once for all targets."""
    return tuple(attack.data for attack in attacks_of("shapes"))


def _scalers() -> Iterator[tuple[str, bytes]]:
    """Yield scalers as trainings of today pickle them: alone and in dicts, with and without names and parts."""
    rows = np.arange(12.0).reshape(4, 3) ** 2
    for form in (rows, pd.DataFrame(rows, columns=["momentum", "spread", "volume"])):
        for scaler in (
            StandardScaler(),
            StandardScaler(with_mean=False),
            RobustScaler(),
            RobustScaler(with_scaling=False),
        ):
            fitted = scaler.fit(form)
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                yield "scaler", pickle.dumps(fitted, protocol)
                yield "scalers", pickle.dumps({"xgboost": fitted, "lstm": 1.0}, protocol)


def _handle(content: bytes) -> bytes:
    """Return the bytes of the booster in a pickle."""
    try:
        for call in _calls(read_pickle(content, script_names=True)):
            if isinstance(call.state, Pairs):
                for key, value in call.state.entries:
                    if key == "handle":
                        return bytes(buffer_of(value))
    except (UnreadableArtifact, CannotDecode):
        return b""
    return b""
