"""Payload bytes: golden form, keys by content, codings, and a cache that makes things once."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import replace

import pytest
from backports import zstd

from mm_core.domain.configs import FactorConfig
from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.groups import Group, ModelSummary, TrainingInfo
from mm_core.payloads import BoundedCache, Coding, PayloadParts, build_payload, compress

MODEL = ModelSummary("S_r_model.json", "ab" * 32, 2, 2, "reg:squarederror", 1, 1, (3, 2, 0))
TRAINING = TrainingInfo(window_start_ts=1, window_end_ts=2, start_date="2020-01-01", samples=5, seconds=1.5)
GROUP = Group(
    "S_r", "S", "r", (), FactorTable(("f1", "f2"), (0.5, None)), IcTable(), TRAINING, MODEL, None, (), "2024-01-01"
)
CONFIG = FactorConfig("S", ("f1", "f2"), (0.2, 0.1), (1.0, 2.5))
PARTS = PayloadParts("m", "/roots/m", GROUP, CONFIG, "2024-02-02")

GOLDEN = (
    b'{"ok":true,"message":"ok","payload":{"model_json":"{\\"a\\":\\"\\xc3\\xa9\\"}","metadata":{"model_name":"m",'
    b'"symbol":"S","group_key":"S_r","return_name":"r","feature_dim":2,"train_window_start_ts":1,'
    b'"train_window_end_ts":2,"train_start_date":"2020-01-01","train_end_date":null,"train_samples":5,'
    b'"train_time_sec":1.5,"model_json_path":"/roots/m/S_r_model.json","model_json_sha256":"' + b"ab" * 32 + b'",'
    b'"source_root_path":"/roots/m","scanned_at":"2024-01-01","factor_config_updated_at":"2024-02-02"},'
    b'"dim_factors":[{"dim":0,"factor_name":"f1","kendall_tau":0.5},{"dim":1,"factor_name":"f2","kendall_tau":null}],'
    b'"factor_config":{"S":{"factor_names":["f1","f2"],"mean_values":[0.2,0.1],"variance_values":[1.0,2.5]}}}}'
).replace(b"\\xc3\\xa9", "é".encode())


def test_the_bytes_of_a_payload_are_these() -> None:
    assert build_payload(PARTS, '{"a":"é"}'.encode()) == GOLDEN


def test_the_models_text_is_handed_on_byte_for_byte() -> None:
    text = '{"x": [1.5E-1, NaN],\n "t": "\\u00e9"}'
    assert json.loads(build_payload(PARTS, text.encode()))["payload"]["model_json"] == text


def test_the_key_changes_with_every_part_and_with_nothing_else() -> None:
    others = [
        replace(PARTS, model_name="n"),
        replace(PARTS, config_updated_at="2024-02-03"),
        replace(PARTS, config=replace(CONFIG, mean_values=(0.2, 0.100000000001))),
        replace(PARTS, group=replace(GROUP, model=replace(MODEL, sha256="cd" * 32))),
        replace(PARTS, group=replace(GROUP, factors=FactorTable(("f1", "f2"), (0.5, 0.0)))),
    ]
    assert len({PARTS.key, *(parts.key for parts in others)}) == 1 + len(others)
    assert replace(PARTS).key == PARTS.key


def test_codings_are_deterministic_and_decode_to_the_body() -> None:
    data = GOLDEN * 50
    assert gzip.decompress(compress(data, Coding.GZIP)) == data
    assert zstd.decompress(compress(data, Coding.ZSTD)) == data
    assert compress(data, Coding.GZIP) == compress(data, Coding.GZIP)
    assert compress(data, Coding.IDENTITY) == data


def test_the_cache_makes_a_value_once_for_many_threads() -> None:
    cache, made, gate = BoundedCache(1000), [], threading.Event()

    def make() -> bytes:
        gate.wait(5)
        made.append(1)
        return b"x" * 10

    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(cache.get("k", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert (len(made), results) == (1, [b"x" * 10] * 8)


def test_the_cache_drops_what_was_used_longest_ago() -> None:
    cache = BoundedCache(100)
    for key in ("a", "b"):
        cache.get(key, lambda: b"." * 40)
    cache.get("a", lambda: b"never made")
    cache.get("c", lambda: b"." * 40)
    assert cache.get("a", lambda: b"made again") == b"." * 40
    assert cache.get("b", lambda: b"made again") == b"made again"
    assert cache.state().size_bytes <= 100


def test_a_value_above_half_the_limit_is_not_kept() -> None:
    cache = BoundedCache(10)
    assert cache.get("k", lambda: b"123456") == b"123456"
    assert cache.state().size_bytes == 0


def test_a_value_that_cannot_be_made_leaves_the_cache_usable() -> None:
    def fail() -> bytes:
        raise OSError("gone")

    cache = BoundedCache(10)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            cache.get("k", fail)
    assert cache.get("k", lambda: b"1") == b"1"
