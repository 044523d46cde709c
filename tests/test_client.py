"""The client for bots, against real HTTP servers on free ports of this machine."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import hashlib
import json
import logging
import math
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import numpy as np
import pytest
import xgboost
from werkzeug.test import Client as WithoutSocket

import mm_core.client
from mm_core.api import create_app
from mm_core.client import (
    BadAnswer,
    BadRow,
    DigestMismatch,
    DimFactor,
    Payload,
    PayloadClient,
    PayloadError,
    PayloadNotFound,
    RequestRefused,
    ServerAway,
)
from mm_core.registry import Registry
from mm_core.settings import Settings

PROJECT = Path(__file__).parent.parent
NAMES = ["momentum_5", "volatility_20", "spread_3"]


def _document(**changes: Any) -> dict[str, Any]:
    """Return a payload document; ``changes`` replace parts of it by name, in metadata, config or the payload."""
    metadata = {"model_name": "m", "symbol": "SOL", "group_key": "SOL_1m", "feature_dim": 3}
    config = {"factor_names": list(NAMES), "mean_values": [0.2, 1, -0.5], "variance_values": [1.0, 4.0, 0.25]}
    dims = [{"dim": dim, "factor_name": name, "kendall_tau": None} for dim, name in enumerate(NAMES)]
    dims[1]["kendall_tau"] = 0.25
    payload: dict[str, Any] = {"model_json": '{"learner": {}}' + " " * 2000, "metadata": metadata, "dim_factors": dims}
    for name, value in changes.items():
        place = metadata if name in metadata else config if name in config else payload
        place[name] = value
    payload.setdefault("factor_config", {metadata["symbol"]: config})
    return {"ok": True, "message": "ok", "payload": payload}


def _body(**changes: Any) -> bytes:
    return json.dumps(_document(**changes)).encode()


def _tag(body: bytes, suffix: str = "") -> str:
    return f'"{hashlib.sha256(body).hexdigest()}{suffix}"'


@dataclass
class Answer:
    """One scripted answer; ``hang_up`` closes the connection after that many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: int | None = None


def _problem(status: int, detail: str) -> Answer:
    body = json.dumps({"status": status, "detail": detail}).encode()
    return Answer(status, body, {"Content-Type": "application/problem+json"})


def _good(body: bytes, **headers: str) -> Answer:
    return Answer(200, body, {"ETag": _tag(body), **headers})


class ScriptedServer:
    """Gives the answers of ``script`` in turn, then ``body`` as Model Manager would: gzip, ETag, 304."""

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.body = _body()
        self.asked: list[tuple[str, dict[str, str]]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scripted.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                answer = scripted.script.popleft() if scripted.script else scripted.usual(self.headers["If-None-Match"])
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                with contextlib.suppress(ConnectionError):  # the client may have gone, as some tests want it to
                    self.end_headers()
                    self.wfile.write(answer.body[: answer.hang_up])

            def log_message(self, *_arguments: object) -> None:
                """Keep the test's output quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def usual(self, condition: str | None) -> Answer:
        tag = _tag(self.body, "-gz")
        if condition == tag:
            return Answer(304, headers={"ETag": tag})
        return Answer(200, gzip.compress(self.body), {"ETag": tag, "Content-Encoding": "gzip"})

    def stop(self) -> None:
        """Stop for good: from now on connections are refused."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = ScriptedServer()
    yield running
    running.stop()


@pytest.fixture
def waits() -> list[float]:
    """What clients of `connect` would have slept."""
    return []


@pytest.fixture
def connect(server: ScriptedServer, tmp_path: Path, waits: list[float]) -> Iterator[Callable[..., PayloadClient]]:
    opened: list[PayloadClient] = []

    def make(**options: Any) -> PayloadClient:
        opened.append(PayloadClient(server.url, tmp_path / "cache", sleep=waits.append, **options))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(connect: Callable[..., PayloadClient]) -> PayloadClient:
    return connect()


def _copies(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.payload"))


# ── what is asked and what is handed out ──


def test_a_payload_is_handed_out_with_everything_that_belongs_together(
    client: PayloadClient, server: ScriptedServer
) -> None:
    before = datetime.now(UTC)
    payload = client.get("m", "SOL")
    assert (payload.model_name, payload.symbol) == ("m", "SOL")
    assert payload.model_json.startswith('{"learner"')
    assert payload.metadata["group_key"] == "SOL_1m"
    assert payload.dim_factors[1] == DimFactor(1, "volatility_20", 0.25)
    assert payload.factor_names == ("momentum_5", "volatility_20", "spread_3")
    assert payload.mean_values == (0.2, 1.0, -0.5)
    assert payload.variance_values == (1.0, 4.0, 0.25)
    assert payload.etag == _tag(server.body, "-gz")
    assert (payload.stale, payload.stale_copy) == (False, None)
    assert before <= payload.fetched_at <= datetime.now(UTC)


def test_only_gzip_is_asked_for_and_the_first_request_has_no_condition(
    client: PayloadClient, server: ScriptedServer
) -> None:
    client.get("m", "SOL")
    [(path, headers)] = server.asked
    assert path == "/api/models/m/model/SOL"
    assert headers["accept-encoding"] == "gzip"
    assert "if-none-match" not in headers


def test_the_second_request_is_conditional_and_304_confirms_the_copy(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    first = client.get("m", "SOL")
    os.utime(_copies(tmp_path)[0], (1_000_000_000, 1_000_000_000))
    second = client.get("m", "SOL")
    assert server.asked[1][1]["if-none-match"] == first.etag
    assert (second.model_json, second.etag, second.stale) == (first.model_json, first.etag, False)
    assert second.fetched_at > first.fetched_at
    assert _copies(tmp_path)[0].stat().st_mtime == pytest.approx(second.fetched_at.timestamp(), abs=1e-3)


def test_a_changed_payload_replaces_the_copy(client: PayloadClient, server: ScriptedServer, tmp_path: Path) -> None:
    client.get("m", "SOL")
    server.body = _body(mean_values=[9, 9, 9])
    assert client.get("m", "SOL").mean_values == (9.0, 9.0, 9.0)
    assert client.get("m", "SOL").mean_values == (9.0, 9.0, 9.0)
    assert server.asked[2][1]["if-none-match"] == _tag(server.body, "-gz")
    assert len(_copies(tmp_path)) == 1


@pytest.mark.parametrize("tag", ['"{}"', '"{}-gz"', '"{}-zst"', 'W/"{}-gz"'])
def test_the_etag_carries_the_digest_whatever_the_coding(
    client: PayloadClient, server: ScriptedServer, tag: str
) -> None:
    server.script.append(Answer(200, server.body, {"ETag": tag.format(hashlib.sha256(server.body).hexdigest())}))
    client.get("m", "SOL")
    client.get("m", "SOL")
    assert server.asked[1][1]["if-none-match"] == tag.format(hashlib.sha256(server.body).hexdigest())


@pytest.mark.parametrize("symbol", ["BTC/USDT", "..x", "100%", "%2F", "A?B#C d", "Ünï", "a\\b", "x" * 300])
def test_odd_symbols_reach_the_server_whole_and_stay_inside_the_cache(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path, symbol: str
) -> None:
    server.body = _body(symbol=symbol)
    client.get("m", symbol)
    assert unquote(server.asked[0][0].removeprefix("/api/models/m/model/")) == symbol
    assert server.asked[0][0].count("/") == 5
    [copy] = (tmp_path / "cache").rglob("*")
    assert len(copy.name) <= 255
    assert copy.name.isascii()
    server.stop()
    assert client.get("m", symbol).symbol == symbol


@pytest.mark.parametrize("symbol", ["", ".", ".."])
def test_a_symbol_that_would_change_the_path_is_refused(client: PayloadClient, symbol: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        client.get("m", symbol)


@pytest.mark.parametrize("url", ["", "host:6300", "ftp://host", "http://", "http://h:port", "http://h/?a=b"])
def test_a_base_url_that_cannot_work_is_refused_at_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="base_url"):
        PayloadClient(url, tmp_path)


def test_symbols_compare_without_case_and_share_one_copy(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    assert client.get("m", "sol").symbol == "SOL"
    assert client.get("m", "SOL").symbol == "SOL"
    assert len(_copies(tmp_path)) == 1
    assert "if-none-match" in server.asked[1][1]


def test_a_group_key_is_asked_for_and_checked(client: PayloadClient, server: ScriptedServer, tmp_path: Path) -> None:
    client.get("m", "SOL", group_key="SOL_1m")
    assert server.asked[0][0] == "/api/models/m/model/SOL?group_key=SOL_1m"
    with pytest.raises(BadAnswer, match="it is of group 'SOL_1m'"):
        client.get("m", "SOL", group_key="SOL_5m")
    assert len(_copies(tmp_path)) == 1


def test_copies_of_two_servers_do_not_mix(connect: Callable[..., PayloadClient], tmp_path: Path) -> None:
    connect().get("m", "SOL")
    other = ScriptedServer()
    other.stop()
    with (
        PayloadClient(other.url, tmp_path / "cache", sleep=lambda _: None) as elsewhere,
        pytest.raises(ServerAway, match="there is none in"),
    ):
        elsewhere.get("m", "SOL")


# ── answers that must not be used ──


def test_a_body_that_is_not_the_one_of_its_etag_is_fetched_again(
    client: PayloadClient, server: ScriptedServer, waits: list[float]
) -> None:
    server.script.append(Answer(200, server.body[:-1] + b" ", {"ETag": _tag(server.body)}))
    assert client.get("m", "SOL").symbol == "SOL"
    assert (len(server.asked), len(waits)) == (2, 1)


def test_a_lasting_digest_mismatch_is_an_error_that_no_copy_masks(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    client.get("m", "SOL")
    copy = _copies(tmp_path)[0].read_bytes()
    server.script.extend([Answer(200, _body(), {"ETag": _tag(b"other")})] * 4)
    with pytest.raises(DigestMismatch):
        client.get("m", "SOL")
    assert len(server.asked) == 5
    assert _copies(tmp_path)[0].read_bytes() == copy


def test_damaged_gzip_is_a_digest_mismatch(client: PayloadClient, server: ScriptedServer) -> None:
    damaged = Answer(200, b"no gzip", {"ETag": _tag(server.body, "-gz"), "Content-Encoding": "gzip"})
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
    server.script.append(_good(_body(**changes)))
    with pytest.raises(BadAnswer, match=reason):
        client.get("m", "SOL")
    assert len(server.asked) == 1
    assert _copies(tmp_path) == []


def test_all_problems_of_a_pairing_are_named_at_once(client: PayloadClient, server: ScriptedServer) -> None:
    server.script.append(_good(_body(feature_dim=9, variance_values=[0, 0, 0])))
    with pytest.raises(BadAnswer, match=r"feature_dim .*; a variance is not"):
        client.get("m", "SOL")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b'{"payload": 1}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_payload_is_refused(client: PayloadClient, server: ScriptedServer, body: bytes) -> None:
    server.script.append(_good(body))
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
    server.body = _body(model_json=" " * 1_000_000)
    assert len(server.usual(None).body) < 10_000
    with pytest.raises(BadAnswer, match="more than 100000 bytes"):
        connect(max_bytes=100_000).get("m", "SOL")
    assert connect(max_bytes=len(server.body)).get("m", "SOL").symbol == "SOL"


# ── refusals ──


def test_404_is_not_masked_by_the_copy(client: PayloadClient, server: ScriptedServer) -> None:
    client.get("m", "SOL")
    server.script.append(_problem(404, "No model 'm' among 3. Register it."))
    with pytest.raises(PayloadNotFound, match="Register it") as caught:
        client.get("m", "SOL")
    assert (caught.value.detail, caught.value.status) == ("No model 'm' among 3. Register it.", 404)
    assert len(server.asked) == 2


def test_a_withdrawn_model_does_not_come_back_when_the_server_goes_away(
    client: PayloadClient, server: ScriptedServer
) -> None:
    client.get("m", "SOL")
    server.script.append(_problem(404, "Withdrawn."))
    with pytest.raises(PayloadNotFound):
        client.get("m", "SOL")
    server.stop()
    with pytest.raises(ServerAway):
        client.get("m", "SOL")


def test_a_404_that_is_not_the_servers_own_leaves_the_copy(client: PayloadClient, server: ScriptedServer) -> None:
    client.get("m", "SOL")
    server.script.append(Answer(404, b"<html>proxy</html>", {"Content-Type": "text/html"}))
    with pytest.raises(PayloadNotFound, match="Check base_url") as caught:
        client.get("m", "SOL")
    assert caught.value.detail == ""
    server.stop()
    assert client.get("m", "SOL").stale


def test_400_has_the_servers_sentence(client: PayloadClient, server: ScriptedServer) -> None:
    server.script.append(_problem(400, "A model name is letters and digits."))
    with pytest.raises(PayloadNotFound, match="letters and digits") as caught:
        client.get("m", "SOL")
    assert caught.value.status == 400


@pytest.mark.parametrize("status", [401, 403, 406, 410])
def test_other_refusals_are_raised_at_once_despite_a_copy(
    client: PayloadClient, server: ScriptedServer, status: int
) -> None:
    client.get("m", "SOL")
    server.script.append(_problem(status, "Not for you."))
    with pytest.raises(RequestRefused, match="Not for you") as caught:
        client.get("m", "SOL")
    assert (caught.value.status, len(server.asked)) == (status, 2)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"title": "x"}', b" " * 100_000])
def test_a_damaged_problem_document_is_still_a_refusal(
    client: PayloadClient, server: ScriptedServer, body: bytes
) -> None:
    server.script.append(Answer(404, body, {"Content-Type": "application/problem+json"}))
    with pytest.raises(PayloadNotFound, match="answered 404"):
        client.get("m", "SOL")


# ── retries ──


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_trouble_that_may_pass_is_tried_again_until_it_does(
    client: PayloadClient, server: ScriptedServer, waits: list[float], status: int
) -> None:
    server.script.extend([Answer(status)] * 3)
    assert not client.get("m", "SOL").stale
    assert len(server.asked) == 4
    assert all(low <= wait <= 2 * low for low, wait in zip([0.125, 0.25, 0.5], waits, strict=True))
    assert waits != [0.25, 0.5, 1.0]  # jitter


def test_attempts_are_bounded(connect: Callable[..., PayloadClient], server: ScriptedServer) -> None:
    server.script.extend([Answer(503)] * 9)
    with pytest.raises(ServerAway, match="answered 503"):
        connect(attempts=2).get("m", "SOL")
    assert len(server.asked) == 2


def test_a_cut_connection_is_tried_again(client: PayloadClient, server: ScriptedServer) -> None:
    server.script.append(Answer(200, server.body, {"ETag": _tag(server.body)}, hang_up=100))
    assert client.get("m", "SOL").symbol == "SOL"
    assert len(server.asked) == 2


def test_500_is_not_tried_again(client: PayloadClient, server: ScriptedServer) -> None:
    server.script.append(_problem(500, "A mistake."))
    with pytest.raises(ServerAway, match="answered 500"):
        client.get("m", "SOL")
    assert len(server.asked) == 1


def test_retry_after_in_seconds_is_honoured(client: PayloadClient, server: ScriptedServer, waits: list[float]) -> None:
    server.script.append(Answer(503, headers={"Retry-After": "7"}))
    client.get("m", "SOL")
    assert waits == [7.0]


def test_retry_after_as_a_date_is_honoured(client: PayloadClient, server: ScriptedServer, waits: list[float]) -> None:
    date = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=8), usegmt=True)
    server.script.append(Answer(429, headers={"Retry-After": date}))
    client.get("m", "SOL")
    assert waits[0] == pytest.approx(7.5, abs=1.0)


@pytest.mark.parametrize(
    "header", ["soon", "-5", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 -0000", "1e3"]
)
def test_a_retry_after_that_says_nothing_leaves_the_usual_wait(
    client: PayloadClient, server: ScriptedServer, waits: list[float], header: str
) -> None:
    server.script.append(Answer(503, headers={"Retry-After": header}))
    client.get("m", "SOL")
    assert 0.125 <= waits[0] <= 0.25


@pytest.mark.parametrize("seconds", ["3600", "9" * 400])
def test_a_server_that_asks_for_more_patience_than_allowed_counts_as_away(
    client: PayloadClient, server: ScriptedServer, waits: list[float], seconds: str
) -> None:
    client.get("m", "SOL")
    server.script.append(Answer(503, headers={"Retry-After": seconds}))
    assert client.get("m", "SOL").stale
    assert (len(server.asked), waits) == (2, [])


# ── the local copy ──


def test_the_last_good_copy_stands_in_when_the_server_is_away_and_says_so(
    client: PayloadClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    fresh = client.get("m", "SOL")
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    os.utime(_copies(tmp_path)[0], (hour_ago.timestamp(), hour_ago.timestamp()))
    server.stop()
    with caplog.at_level(logging.WARNING, "mm_core.client"):
        stale = client.get("m", "SOL")
    assert stale.stale
    assert stale.stale_copy is not None
    assert timedelta(hours=1) <= stale.stale_copy.age < timedelta(hours=1, minutes=1)
    assert "ConnectError" in stale.stale_copy.reason
    assert (stale.model_json, stale.mean_values, stale.etag) == (fresh.model_json, fresh.mean_values, fresh.etag)
    [record] = caplog.records
    assert (record.name, record.levelname) == ("mm_core.client", "WARNING")
    assert "1:00:0" in record.getMessage()
    assert server.url in record.getMessage()


@pytest.mark.parametrize("status", [500, 501, 503, 429])
def test_a_copy_stands_in_for_a_server_in_trouble_and_steps_back_after(
    client: PayloadClient, server: ScriptedServer, status: int
) -> None:
    client.get("m", "SOL")
    server.script.extend([Answer(status)] * (4 if status in {503, 429} else 1))
    assert client.get("m", "SOL").stale
    assert not client.get("m", "SOL").stale


def test_a_server_that_does_not_answer_in_time_counts_as_away(
    connect: Callable[..., PayloadClient], server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(timeout=httpx.Timeout(0.2), attempts=1)
    client.get("m", "SOL")
    released = threading.Event()
    usual = server.usual

    def slow(condition: str | None) -> Answer:
        released.wait(10)
        return usual(condition)

    monkeypatch.setattr(server, "usual", slow)
    stale = client.get("m", "SOL")
    released.set()
    assert stale.stale_copy is not None
    assert "ReadTimeout" in stale.stale_copy.reason


def test_a_copy_outlives_the_client(connect: Callable[..., PayloadClient], server: ScriptedServer) -> None:
    with connect() as first:
        first.get("m", "SOL")
    server.stop()
    assert connect().get("m", "SOL").stale


def test_without_a_copy_an_absent_server_is_an_error(client: PayloadClient, server: ScriptedServer) -> None:
    server.stop()
    with pytest.raises(ServerAway, match="No local copy"):
        client.get("m", "SOL")


def test_a_copy_older_than_max_age_does_not_stand_in(
    connect: Callable[..., PayloadClient], server: ScriptedServer, tmp_path: Path
) -> None:
    client = connect(max_age=timedelta(minutes=30))
    client.get("m", "SOL")
    server.stop()
    assert client.get("m", "SOL").stale
    hour_ago = datetime.now(UTC).timestamp() - 3600
    os.utime(_copies(tmp_path)[0], (hour_ago, hour_ago))
    with pytest.raises(ServerAway, match="above max_age"):
        client.get("m", "SOL")


def test_304_makes_a_copy_young_again(
    connect: Callable[..., PayloadClient], server: ScriptedServer, tmp_path: Path
) -> None:
    client = connect(max_age=timedelta(minutes=30))
    client.get("m", "SOL")
    os.utime(_copies(tmp_path)[0], (1_000_000_000, 1_000_000_000))
    client.get("m", "SOL")
    server.stop()
    assert client.get("m", "SOL").stale


def _other_mean(data: bytes) -> bytes:
    """Return a copy that is still a payload in every other respect."""
    assert data.count(b"-0.5") == 1
    return data.replace(b"-0.5", b"-0.7")


@pytest.mark.parametrize(
    "damage",
    [
        _other_mean,
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\x00" * len(data),
        lambda data: b"[]\n" + data,
        lambda data: data.replace(b'"format": 1', b'"format": 2', 1),
        lambda data: json.dumps({"format": 1, "etag": f'"{"0" * 64}"'}).encode() + b"\n" + data.split(b"\n", 1)[1],
        lambda data: b'{"format": 1, "etag": 5}\n{}',
    ],
    ids=["mean", "half", "empty", "zeros", "header", "format", "etag", "number"],
)
def test_a_corrupt_copy_is_ignored_and_fetched_anew(
    client: PayloadClient,
    server: ScriptedServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    client.get("m", "SOL")
    [copy] = _copies(tmp_path)
    whole = copy.read_bytes()
    copy.write_bytes(damage(whole))
    assert not client.get("m", "SOL").stale
    assert "if-none-match" not in server.asked[1][1]
    assert "cannot be used" in caplog.text
    assert copy.read_bytes() == whole


def test_a_corrupt_copy_does_not_stand_in(client: PayloadClient, server: ScriptedServer, tmp_path: Path) -> None:
    client.get("m", "SOL")
    _copies(tmp_path)[0].write_bytes(_other_mean(_copies(tmp_path)[0].read_bytes()))
    server.stop()
    with pytest.raises(ServerAway):
        client.get("m", "SOL")


def test_a_copy_under_another_payloads_name_does_not_stand_in(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    client.get("m", "SOL")
    sol = _copies(tmp_path)[0].read_bytes()
    server.body = _body(symbol="BTC")
    client.get("m", "BTC")
    for copy in _copies(tmp_path):
        copy.write_bytes(sol)
    server.stop()
    assert client.get("m", "SOL").stale
    with pytest.raises(ServerAway):
        client.get("m", "BTC")


def test_a_copy_is_on_the_disk_before_it_replaces_the_old_one(
    client: PayloadClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps: list[tuple[str, int]] = []
    sync, rename = os.fsync, os.replace

    def fsync(handle: int) -> None:
        steps.append(("fsync", os.fstat(handle).st_size))
        sync(handle)

    def replace(source: str, target: Path) -> None:
        steps.append(("replace", os.stat(source).st_size))
        assert Path(source).parent == target.parent
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    client.get("m", "SOL")
    size = _copies(tmp_path)[0].stat().st_size
    assert steps == [("fsync", size), ("replace", size)]


KILLED = """
import os, signal, sys
from mm_core.client import PayloadClient
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
PayloadClient(sys.argv[1], sys.argv[2]).get("m", "SOL")
"""


def test_a_kill_between_write_and_replace_leaves_the_old_copy(
    client: PayloadClient, server: ScriptedServer, tmp_path: Path
) -> None:
    old = client.get("m", "SOL")
    before = _copies(tmp_path)[0].read_bytes()
    server.body = _body(mean_values=[9, 9, 9])
    done = subprocess.run([sys.executable, "-c", KILLED, server.url, tmp_path / "cache"], cwd=PROJECT, timeout=60)
    assert done.returncode == -9
    assert len(server.asked) == 2
    [orphan] = (tmp_path / "cache").glob("*.tmp")
    assert _copies(tmp_path)[0].read_bytes() == before
    os.utime(orphan, (1_000_000_000, 1_000_000_000))
    assert client.get("m", "SOL").mean_values == (9.0, 9.0, 9.0)
    assert not orphan.exists()
    server.stop()
    assert client.get("m", "SOL").etag != old.etag


def test_a_disk_that_takes_no_copy_does_not_withhold_the_payload(
    server: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with PayloadClient(server.url, tmp_path / "file" / "cache") as client:
        assert not client.get("m", "SOL").stale
    assert "no local copy could be kept" in caplog.text


def test_passwords_of_the_base_url_stay_out_of_messages(server: ScriptedServer, tmp_path: Path) -> None:
    url = server.url.replace("http://", "http://bot:geheim@")
    server.stop()
    with PayloadClient(url, tmp_path, attempts=1) as client, pytest.raises(ServerAway) as caught:
        client.get("m", "SOL")
    assert server.url in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_threads_share_a_client(client: PayloadClient, server: ScriptedServer, tmp_path: Path) -> None:
    together = threading.Barrier(2)
    found: list[Payload | Exception] = []

    def pull() -> None:
        together.wait()
        for _ in range(10):
            try:
                found.append(client.get("m", "SOL"))
            except Exception as error:  # noqa: BLE001 - the main thread reports it
                found.append(error)

    threads = [threading.Thread(target=pull) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(isinstance(payload, Payload) and not payload.stale for payload in found), found
    assert sum("if-none-match" not in headers for _, headers in server.asked) == 1
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".payload"]


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


# ── on its own, and with the real server ──

ALONE = """
import sys
class OnlyHttpx:
    allowed = {"bot_client", "httpx", "httpcore", "h11", "certifi", "idna", "anyio", "sniffio", "typing_extensions"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in self.allowed | set(sys.stdlib_module_names):
            raise ImportError(f"{name} is not on the bot's machine")
sys.meta_path.insert(0, OnlyHttpx())
sys.path.insert(0, sys.argv[1])
import bot_client
with bot_client.PayloadClient(sys.argv[2], sys.argv[3]) as client:
    print(client.get("m", "SOL").normalize({"momentum_5": 1.2, "volatility_20": 5, "spread_3": 0}))
assert not any(name.split(".")[0] in {"mm_core", "stamina"} for name in sys.modules)
"""


def test_the_one_file_works_with_httpx_alone(server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "bot").mkdir()
    shutil.copy(mm_core.client.__file__, tmp_path / "bot" / "bot_client.py")
    command = [sys.executable, "-I", "-W", "error", "-c", ALONE, tmp_path / "bot", server.url, tmp_path / "cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.stdout) == ("", "[1.0, 2.0, 1.0]\n")


def test_the_tree_of_errors_is_the_one_that_the_docstring_draws() -> None:
    drawn = mm_core.client.__doc__ or ""
    found = [value for value in vars(mm_core.client).values() if isinstance(value, type)]
    errors = {value.__name__ for value in found if issubclass(value, PayloadError)}
    assert len(errors) == 7
    assert all(f"{name} " in drawn or f"{name}\n" in drawn for name in errors)


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output quiet."""


def test_the_real_server_and_the_client_agree(
    registry: Registry,
    settings: Settings,
    write_group: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    app = create_app(registry, settings)
    document = {"model_name": "m", "root_path": str(write_group("SOLUSDT_mid_chg_1m"))}
    assert WithoutSocket(app).post("/api/models", json=document).status_code == 200
    with make_server("127.0.0.1", 0, app, handler_class=_QuietHandler) as real:
        thread = threading.Thread(target=real.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{real.server_port}"
        try:
            with PayloadClient(url, tmp_path / "cache") as client:
                first, second = client.get("m", "solusdt"), client.get("m", "SOLUSDT")
                with pytest.raises(PayloadNotFound, match="BTC") as caught:
                    client.get("m", "BTC")
        finally:
            real.shutdown()
            thread.join()
    assert first.etag.endswith('-gz"')
    assert second.fetched_at > first.fetched_at
    assert second.etag == first.etag
    assert caught.value.detail
    booster = xgboost.Booster()
    booster.load_model(bytearray(first.model_json, "utf-8"))
    assert booster.num_features() == len(first.factor_names) == 3
    # the defaults after registration: mean 0.2, variance 1
    assert first.normalize(dict.fromkeys(first.factor_names, 1.2)) == [1.0, 1.0, 1.0]
