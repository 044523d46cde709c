"""Bodies that must not be used, and payloads applied to rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mm_core.client import BadAnswer, BadRow, DigestMismatch, PayloadClient
from tests.client.serving import NAMES, Answer, ScriptedServer, body_of, copies_in, good, tag_of

PROJECT = Path(__file__).parent.parent.parent


# ── answers that must not be used ──


def test_a_body_that_is_not_the_one_of_its_etag_is_fetched_again(
    client: PayloadClient, server: ScriptedServer, waits: list[float]
) -> None:
    server.script.append(Answer(200, server.body[:-1] + b" ", {"ETag": tag_of(server.body)}))
    assert client.get("m", "SOL").symbol == "SOL"
    assert (len(server.asked), len(waits)) == (2, 1)


def test_a_lasting_digest_mismatch_is_an_error_that_no_copy_masks(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    client.get("m", "SOL")
    copy = copies_in(tmp_path)[0].read_bytes()
    server.script.extend([Answer(200, body_of(), {"ETag": tag_of(b"other")})] * 4)
    with pytest.raises(DigestMismatch):
        client.get("m", "SOL")
    assert len(server.asked) == 5
    assert copies_in(tmp_path)[0].read_bytes() == copy


def test_damaged_gzip_is_a_digest_mismatch(client: PayloadClient, server: ScriptedServer) -> None:
    damaged = Answer(200, b"no gzip", {"ETag": tag_of(server.body, "-gz"), "Content-Encoding": "gzip"})
    server.script.extend([damaged] * 4)
    with pytest.raises(DigestMismatch, match="does not decompress"):
        client.get("m", "SOL")


def test_truncated_gzip_is_a_digest_mismatch(connect: Callable[..., PayloadClient], server: ScriptedServer) -> None:
    whole = server.usual(None)
    server.script.append(Answer(200, whole.body[:-20], whole.headers))
    with pytest.raises(DigestMismatch):
        connect(attempts=1).get("m", "SOL")


@pytest.mark.parametrize("headers", [{}, {"ETag": '"abc"'}, {"ETag": "0" * 64}, {"ETag": f'"{"0" * 64}-br"'}])
def test_an_etag_without_a_digest_is_refused(
    client: PayloadClient, server: ScriptedServer, headers: dict[str, str]
) -> None:
    server.script.append(Answer(200, server.body, headers))
    with pytest.raises(BadAnswer, match="SHA-256"):
        client.get("m", "SOL")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"factor_names": ["volatility_20", "momentum_5", "spread_3"]}, "names of dim_factors in their order"),
        ({"factor_names": NAMES[:2]}, "names of dim_factors in their order"),
        ({"mean_values": [0.2, 1.0]}, r"lengths \[3, 2, 3\]"),
        ({"variance_values": [1.0, 4.0, 0.25, 1.0]}, r"lengths \[3, 3, 4\]"),
        ({"feature_dim": 4}, "feature_dim is not the number of dim_factors"),
        ({"feature_dim": None}, "feature_dim is not the number of dim_factors"),
        ({"mean_values": [0.2, None, 0.0]}, "a mean is not"),
        ({"mean_values": [0.2, "1", 0.0]}, "a mean is not"),
        ({"mean_values": [0.2, True, 0.0]}, "a mean is not"),
        ({"mean_values": [0.2, math.nan, 0.0]}, "a mean is not"),
        ({"mean_values": [0.2, 10**400, 0.0]}, "a mean is not"),
        ({"variance_values": [1.0, 0.0, 1.0]}, "a variance is not"),
        ({"variance_values": [1.0, -4.0, 1.0]}, "a variance is not"),
        ({"variance_values": [1.0, math.inf, 1.0]}, "a variance is not"),
        ({"variance_values": [1.0, math.nan, 1.0]}, "a variance is not"),
        ({"model_name": "other"}, "it is of model 'other', symbol 'SOL'"),
        ({"symbol": "BTC"}, "it is of model 'm', symbol 'BTC'"),
        ({"model_json": {}}, "model_json is not text"),
        ({"model_json": ""}, "model_json is not text"),
        ({"factor_config": {}}, "not a payload"),
        ({"factor_config": {"BTC": {}}}, "not a payload"),
        ({"dim_factors": None}, "not a payload"),
        (
            {"dim_factors": [{"dim": 2 - at, "factor_name": n, "kendall_tau": 0} for at, n in enumerate(NAMES)]},
            "count from 0",
        ),
        (
            {
                "dim_factors": [{"dim": at, "factor_name": "a", "kendall_tau": 0} for at in range(3)],
                "factor_names": ["a", "a", "a"],
            },
            "names a factor twice",
        ),
    ],
)
def test_a_wrong_pairing_is_never_handed_out(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    server.script.append(good(body_of(**changes)))
    with pytest.raises(BadAnswer, match=reason):
        client.get("m", "SOL")
    assert len(server.asked) == 1
    assert copies_in(tmp_path) == []


def test_all_problems_of_a_pairing_are_named_at_once(client: PayloadClient, server: ScriptedServer) -> None:
    server.script.append(good(body_of(feature_dim=9, variance_values=[0, 0, 0])))
    with pytest.raises(BadAnswer, match=r"feature_dim .*; a variance is not"):
        client.get("m", "SOL")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'{"payload": 1}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_payload_is_refused(client: PayloadClient, server: ScriptedServer, body: bytes) -> None:
    server.script.append(good(body))
    with pytest.raises(BadAnswer, match="not a payload"):
        client.get("m", "SOL")


@pytest.mark.parametrize("status", [204, 302, 304])
def test_an_unexpected_status_is_refused(client: PayloadClient, server: ScriptedServer, status: int) -> None:
    server.script.append(Answer(status, headers={"Location": "/elsewhere"}))
    with pytest.raises(BadAnswer, match=str(status)):
        client.get("m", "SOL")


def test_a_body_above_the_limit_is_refused_though_it_is_small_on_the_wire(
    connect: Callable[..., PayloadClient], server: ScriptedServer
) -> None:
    server.body = body_of(model_json=" " * 1_000_000)
    assert len(server.usual(None).body) < 10_000
    with pytest.raises(BadAnswer, match="more than 100000 bytes"):
        connect(max_bytes=100_000).get("m", "SOL")
    assert connect(max_bytes=len(server.body)).get("m", "SOL").symbol == "SOL"


# ── normalization ──


def test_normalization_is_by_name_in_model_order(client: PayloadClient) -> None:
    payload = client.get("m", "SOL")
    # (1.2 - 0.2) / sqrt(1), (5 - 1) / sqrt(4), (0 + 0.5) / sqrt(0.25)
    row = {"spread_3": 0, "not_of_this_model": "ignored", "momentum_5": 1.2, "volatility_20": 5.0}
    assert payload.normalize(row) == [1.0, 2.0, 1.0]


def test_nan_stays_nan_and_infinity_stays_infinity(client: PayloadClient) -> None:
    row = {"momentum_5": math.nan, "volatility_20": -math.inf, "spread_3": 0.5}
    first, *rest = client.get("m", "SOL").normalize(row)
    assert math.isnan(first)
    assert rest == [-math.inf, 2.0]


def test_numpy_numbers_are_numbers(client: PayloadClient) -> None:
    row = {"momentum_5": np.float64(1.2), "volatility_20": np.float32(5), "spread_3": np.int64(0)}
    normalized = client.get("m", "SOL").normalize(row)
    assert normalized == [1.0, 2.0, 1.0]
    assert {type(value) for value in normalized} == {float}


def test_all_missing_factors_are_named_at_once(client: PayloadClient) -> None:
    with pytest.raises(BadRow, match="'momentum_5' is missing, 'spread_3' is missing"):
        client.get("m", "SOL").normalize({"volatility_20": 1.0})


@pytest.mark.parametrize("value", [None, "1.0", True, 1j, [1.0], 10**400, np.bool_(True)])
def test_what_is_not_a_number_is_refused(client: PayloadClient, value: Any) -> None:
    with pytest.raises(BadRow, match="'volatility_20' is "):
        client.get("m", "SOL").normalize({"momentum_5": 1.0, "volatility_20": value, "spread_3": 1.0})
