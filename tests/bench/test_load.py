"""The load generators count what fails, and the floor sends the files as they are."""

from __future__ import annotations

import gzip
import http.client
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.bench.running import BENCH

NONE_INSTALLED = shutil.which("wrk") is None


@pytest.fixture(params=[pytest.param("wrk", marks=pytest.mark.skipif(NONE_INSTALLED, reason="no wrk")), None])
def wrk(request: pytest.FixtureRequest) -> str | None:
    """A load generator: wrk, and the threads that take its place."""
    return shutil.which("wrk") if request.param else None


@pytest.fixture
def load(benchmark_modules: None) -> Any:
    """The benchmark's module."""
    import load

    return load


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/cut":
            self.close_connection = True
            return
        self.send_response(200 if self.path == "/good" else 503)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"abc")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        pass


class _Peer:
    """What the load generator asks of a server."""

    name = "clumsy"
    process_id = 0

    def __init__(self, port: int) -> None:
        self.port = port

    def cpu_seconds(self) -> float:
        return 0.0

    def wait_until_calm(self) -> None:
        pass


@contextmanager
def clumsy() -> Iterator[_Peer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield _Peer(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_refusals_are_counted_and_shown_where_a_load_may_fail(load: Any, wrk: str | None, tmp_path: Path) -> None:
    how = {"seconds": 0.2, "connections": 2, "directory": tmp_path, "wrk": wrk}
    with clumsy() as server:
        taken = load.run_load(server, ["/good", "/bad"], {}, may_fail=True, **how)
        flawless = load.run_load(server, ["/good"], {}, **how)
    assert 0 < taken.errors["status"] <= taken.requests
    assert taken.failed == taken.errors["status"]
    assert flawless.failed == 0
    assert flawless.requests > 0


def test_a_connection_that_breaks_is_an_error(load: Any, wrk: str | None, tmp_path: Path) -> None:
    with clumsy() as server:
        taken = load.run_load(
            server, ["/cut"], {}, seconds=0.2, connections=2, directory=tmp_path, wrk=wrk, may_fail=True
        )
    assert taken.errors["read"] > 0
    assert taken.requests == 0
    assert taken.p99_ms != taken.p99_ms, "nothing was answered, so there is no time"


def test_a_failure_ends_the_benchmark_where_nothing_would_show_it(load: Any, wrk: str | None, tmp_path: Path) -> None:
    with clumsy() as server, pytest.raises(SystemExit, match=r"clumsy answered .*'status': "):
        load.run_load(server, ["/bad"], {}, seconds=0.2, connections=1, directory=tmp_path, wrk=wrk)


@contextmanager
def floor(directory: Path, processes: int) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, str(BENCH / "sendfile_server.py"), str(directory), str(port), str(processes)]
    with subprocess.Popen(command) as process:
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.01)
            yield port
        finally:
            process.terminate()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_floor_sends_whole_files_on_a_connection_that_stays_open(tmp_path: Path, processes: int) -> None:
    body = gzip.compress(bytes(range(256)) * 40_000, compresslevel=0)
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "model.gz").write_bytes(body)
    with floor(tmp_path, processes) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.connect()
        opened = connection.sock
        for path, status, expected in (("/api/model", 200, body), ("/api/none", 404, b""), ("/api/model", 200, body)):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (status, expected)
        assert connection.sock is opened
        connection.close()
