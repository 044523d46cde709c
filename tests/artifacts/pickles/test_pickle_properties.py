"""Whatever the bytes are, reading ends in a value or in `UnreadableArtifact`, and soon."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_core.artifacts.pickles import read_info, read_model_json
from mm_core.artifacts.pickles.float_text import float32_lists
from mm_core.artifacts.pickles.ubjson import ubjson_to_json
from mm_core.errors import UnreadableArtifact

SAMPLES = ("basic.p2_info.pkl", "ic_dates.p4_info.pkl", "ic_arrow.p5_info.pkl", "ic_multi.p0_info.pkl")
MODELS = ("booster_reg.p4_model.pkl", "XGBRegressor_np.p2_model.pkl", "XGBRegressor_cat.p5_model.pkl")
PATIENT = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="session")
def honest(unpacked: Path) -> list[bytes]:
    paths = [path for path in sorted(unpacked.glob("*/*.pkl")) if path.name in SAMPLES + MODELS]
    return [path.read_bytes() for path in paths]


def _read_both(data: bytes) -> None:
    started = time.process_time()
    for read in (read_info, read_model_json):
        try:
            result: Any = read(data)
        except UnreadableArtifact:
            continue
        if read is read_info:
            json.dumps(result.values, allow_nan=False).encode("utf-8")
    assert time.process_time() - started < 2


@PATIENT
@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    _read_both(data)
    _read_both(b"\x80\x04}X\x06\x00\x00\x00config" + data + b"s.")


@PATIENT
@given(st.data())
def test_cut_files(honest: list[bytes], data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(honest))
    _read_both(whole[: data.draw(st.integers(0, len(whole) - 1))])


@PATIENT
@given(st.data())
def test_flipped_bits(honest: list[bytes], data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from(honest)))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] ^= 1 << data.draw(st.integers(0, 7))
    _read_both(bytes(changed))


@PATIENT
@given(st.data())
def test_spliced_files(honest: list[bytes], data: st.DataObject) -> None:
    """A piece of one file inside another makes known names meet shapes that are not theirs."""
    target, source = data.draw(st.sampled_from(honest)), data.draw(st.sampled_from(honest))
    start = data.draw(st.integers(0, len(source) - 1))
    piece = source[start : start + data.draw(st.integers(1, 200))]
    at = data.draw(st.integers(0, len(target) - 1))
    _read_both(target[:at] + piece + target[at:])
    _read_both(target[:at] + piece + target[at + len(piece) :])


@PATIENT
@given(st.binary(max_size=300))
def test_random_ubjson(data: bytes) -> None:
    for start in (b"", b"{", b"{L" + struct.pack(">q", 5) + b"Model"):
        try:
            json.loads(ubjson_to_json(start + data, frozenset()).whole)
        except UnreadableArtifact:
            continue


@PATIENT
@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_float_text_is_the_shortest_that_names_the_float(values: list[float]) -> None:
    raw = np.asarray(values, dtype=">f4")
    text = float32_lists([raw.tobytes()])[0]
    for number, value in zip(json.loads(text), raw.astype("f4"), strict=True):
        assert number == float(str(value)) or (np.isnan(number) and np.isnan(value))


def test_float_text_at_every_power_of_two_and_around_ties() -> None:
    powers = np.ldexp(np.float32(1), np.arange(-149, 128)).astype("f4")
    around = np.concatenate([np.nextafter(powers, np.float32(0)), powers, np.nextafter(powers, np.float32(np.inf))])
    tenths = (np.arange(20_000, dtype="f8") / 16 + 0.03125).astype("f4")
    values = np.concatenate([around, -around, tenths])
    numbers = json.loads(float32_lists([values.astype(">f4").tobytes()])[0])
    assert numbers == [float(str(value)) for value in values]
    assert float32_lists([struct.pack(">3f", float("nan"), float("inf"), float("-inf"))]) == [
        b"[NaN,Infinity,-Infinity]"
    ]
