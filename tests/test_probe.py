"""The probe against a real payload server, and against servers that are something else."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mm_core.errors import ServiceAway, ServiceUnwell
from mm_core.probe import MOST_BYTES, RouteFigures, probe
from tests.api.conftest import RunningServer, register, start_server
from tests.asking import http
from tests.processes import free_port

__all__ = ["start_server"]

PROBLEM = json.dumps({"title": "Store file damaged", "status": 500, "detail": "Put a backup in its place."}).encode()
HEALTH = json.dumps({"status": "ok", "store_revision": 3}).encode()
METRICS = b"""# HELP model_manager_requests_total Requests.
# TYPE model_manager_requests_total counter
model_manager_requests_total{method="GET",route="/api/a",status="200"} 5.0
model_manager_requests_total{method="HEAD",route="/api/a",status="304"} 2.0
model_manager_requests_total{method="GET",route="/api/a",status="404"} 1.0
model_manager_requests_total{method="GET",route="/api/b",status="500"} 3.0
model_manager_requests_total{method="GET",route="/api/c",status="200"} 3.0
# TYPE model_manager_request_seconds histogram
model_manager_request_seconds_bucket{le="+Inf",route="/api/a"} 8.0
model_manager_request_seconds_count{route="/api/a"} 8.0
model_manager_request_seconds_sum{route="/api/a"} 0.25
# TYPE model_manager_models gauge
model_manager_models 2.0
# TYPE model_manager_groups gauge
model_manager_groups{model="m"} 7.0
"""


def _answer(body: bytes, status: str = "200 OK", extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{extra}\r\n"
    return head.encode() + body


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve raw bytes by path, or let a function do with the connection what it likes; return the address."""
    with contextlib.ExitStack() as stack:

        def start(
            health: bytes | Callable[[socket.socket], None], metrics: bytes | Callable[[socket.socket], None] = b""
        ) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ended = threading.Event()

            def work() -> None:
                while not ended.is_set():
                    with contextlib.suppress(OSError), listener.accept()[0] as connection:
                        request = connection.recv(65536)
                        content = metrics if request.startswith(b"GET /metrics ") else health
                        connection.sendall(content) if isinstance(content, bytes) else content(connection)

            thread = threading.Thread(target=work)

            def stop() -> None:
                ended.set()
                with contextlib.suppress(OSError):
                    socket.create_connection(listener.getsockname(), timeout=1).close()
                thread.join(10)

            thread.start()
            stack.callback(stop)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start


def test_a_real_server_tells_its_health_and_its_requests_by_route(
    start_server: Callable[..., RunningServer],
    write_group: Callable[..., Path],
) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, write_group())
    for _ in range(3):
        http.get(server.url + "/api/models/nobody/model/SOLUSDT")
    state = probe(server.url)
    assert (state.health["status"], state.health["models"], state.health["findings"]) == ("ok", 1, 0)
    assert 0 < state.milliseconds < 2000
    routes = {one.route: one for one in state.routes}
    (missing,) = [one for one in state.routes if one.errors]
    assert (missing.requests, missing.errors, missing.route.endswith("/model/<symbol>")) == (3, 3, True)
    assert routes["/api/models"].requests == 1
    assert routes["/api/models"].seconds > 0
    assert (state.figures["model_manager_models"], state.figures["model_manager_cache_hits_total"]) == (1.0, 0.0)
    assert probe(server.url + "/").health["status"] == "ok"
    server.stop()
    with pytest.raises(ServiceAway, match="Connection refused"):
        probe(server.url)


def test_figures_are_summed_by_route_the_busiest_first(serve: Callable[..., str]) -> None:
    state = probe(serve(_answer(HEALTH), _answer(METRICS)))
    assert state.routes == (
        RouteFigures("/api/a", 8, 1, 0.25),
        RouteFigures("/api/b", 3, 3, 0.0),
        RouteFigures("/api/c", 3, 0, 0.0),
    )
    assert state.figures == {"model_manager_models": 2.0}
    assert state.health == {"status": "ok", "store_revision": 3}


def test_a_server_that_drains_is_there(serve: Callable[..., str]) -> None:
    health = HEALTH.replace(b"ok", b"draining")
    assert probe(serve(_answer(health, "503 Service Unavailable"), _answer(METRICS))).health["status"] == "draining"


@pytest.mark.parametrize(
    "health",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        _answer(b""),
        _answer(b"<!doctype html><title>Streamlit</title>"),
        _answer(b"[1, 2]"),
        _answer(b'"ok"'),
        _answer(b"{}"),
        _answer(b'{"status": "ok"}'),
        _answer(b'{"status": "ok", "store_revision": 3, "threads": ["watcher"]}'),
        _answer(b'{"status": "ok", "store_revision": 3, "threads": {"watcher": "off"}}'),
        _answer(b'{"detail": "Not Found"}', "404 Not Found"),
        _answer(b'{"status": 500, "title": "Internal error"}', "500 Internal Server Error"),
        _answer(b"\xff\xfe{}"),
        _answer(b"[" * 200_000),
        _answer(b"not gzip", extra="Content-Encoding: gzip\r\n"),
        _answer(HEALTH, extra="Content-Encoding: gzip\r\n"),
        _answer(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
    ],
)
def test_what_is_no_payload_server_is_away(health: bytes, serve: Callable[..., str]) -> None:
    url = serve(health, _answer(METRICS))
    with pytest.raises(ServiceAway) as caught:
        probe(url)
    assert caught.value.detail.startswith(f"The payload server at {url} does not answer as one (")
    assert caught.value.detail.endswith("Start it with ./start.sh, or check MODEL_MANAGER_HTTP_PORT.")


@pytest.mark.parametrize(
    "metrics",
    [
        _answer(b"<html>\n"),
        _answer(b"\xff\n"),
        _answer(b"", "404 Not Found"),
        _answer(b"model_manager_requests_total 1\n"),
        _answer(b'model_manager_requests_total{route="/a"} 1\n'),
        _answer(b'model_manager_requests_total{route="/a",status="200"} +Inf\n'),
        _answer(b'model_manager_requests_total{route="/a",status="200"} NaN\n'),
        _answer(b"model_manager_request_seconds_sum 1\n"),
    ],
)
def test_figures_that_make_no_sense_are_no_answer(metrics: bytes, serve: Callable[..., str]) -> None:
    with pytest.raises(ServiceAway, match="does not answer as one"):
        probe(serve(_answer(HEALTH), metrics))


def test_compressed_answers_are_read(serve: Callable[..., str]) -> None:
    packed = _answer(gzip.compress(METRICS), extra="Content-Encoding: gzip\r\n")
    assert probe(serve(_answer(HEALTH), packed)).figures == {"model_manager_models": 2.0}


def _silent(connection: socket.socket) -> None:
    connection.settimeout(5)
    connection.recv(1)  # until the probe gives up


def _dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.05)


@pytest.mark.parametrize("slow", [_silent, _dripping])
@pytest.mark.parametrize("route", ["health", "metrics"])
def test_a_slow_server_is_away_when_the_time_is_over(
    slow: Callable[[socket.socket], None], route: str, serve: Callable[..., str]
) -> None:
    url = serve(slow) if route == "health" else serve(_answer(HEALTH), slow)
    started = time.monotonic()
    with pytest.raises(ServiceAway):
        probe(url, timeout=0.3)
    assert time.monotonic() - started < 2


def test_an_answer_without_an_end_is_cut(serve: Callable[..., str]) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(math.ceil(MOST_BYTES / 2**20) + 2):
            connection.sendall(b" " * 2**20)

    with pytest.raises(ServiceAway, match="more than 16,777,216 bytes"):
        probe(serve(endless), timeout=30)


@pytest.mark.parametrize("url", ["", "localhost", "ftp://x", "http://[::1", "http://a..b", "http://\0", "http://h:abc"])
def test_an_address_that_is_none_is_away(url: str) -> None:
    with pytest.raises(ServiceAway, match="does not answer as one"):
        probe(url)


def test_nobody_there_is_away() -> None:
    with pytest.raises(ServiceAway, match="Connection refused"):
        probe(f"http://127.0.0.1:{free_port()}")


def test_a_server_that_answers_a_problem_is_unwell_in_its_own_words(serve: Callable[..., str]) -> None:
    with pytest.raises(ServiceUnwell, match=r"answers: Store file damaged\. Put a backup in its place\.$"):
        probe(serve(_answer(PROBLEM, "500 Internal Server Error"), _answer(METRICS)))
