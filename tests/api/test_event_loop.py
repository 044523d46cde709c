"""Connections that nothing happens to, and the ones that come and go beside them."""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mm_core.api import listening
from mm_core.api.channels import Channel
from mm_core.api.process import OPEN_FILES
from mm_core.settings import Settings
from tests.api.conftest import RunningServer, register, wait_until_published
from tests.attacks.in_process import served_here
from tests.waiting import wait_until

Start = Callable[..., RunningServer]
ASK = b"HEAD /api/models/m/model/SOLUSDT HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def server(start_server: Start, model_root: Path) -> RunningServer:
    """A server with a published model."""
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    wait_until_published(server)
    return server


def _connect(server: RunningServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def _ask(connection: socket.socket, question: bytes = ASK) -> bytes:
    connection.sendall(question)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(4096)
    return answer


def test_idle_connections_are_answered_whenever_they_speak_again(server: RunningServer) -> None:
    with ExitStack() as kept:
        idle = [kept.enter_context(_connect(server)) for _ in range(1100)]  # beyond what select() can watch
        for connection in (*idle, *idle[::7]):
            assert _ask(connection).startswith(b"HTTP/1.1 200")


def test_descriptors_that_are_used_again_belong_to_the_new_connection(server: RunningServer) -> None:
    for round_ in range(5):
        with ExitStack() as kept:
            connections = [kept.enter_context(_connect(server)) for _ in range(50)]
            for connection in connections[:: 1 + round_ % 2]:
                assert _ask(connection).startswith(b"HTTP/1.1 200")


def test_requests_of_threads_and_of_the_loop_take_turns_on_one_connection(server: RunningServer) -> None:
    slow = b"GET /api/models HTTP/1.1\r\nHost: x\r\n\r\n"
    with _connect(server) as connection, httpx.Client() as other:
        for _ in range(50):
            assert _ask(connection).startswith(b"HTTP/1.1 200")
            answer = _ask(connection, slow)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")).split()[1])
            while len(body) < length:
                body += connection.recv(4096)
            assert other.get(server.url + "/api/models/m/model/SOLUSDT").status_code == 200


def test_a_half_request_waits_and_costs_nobody_anything(server: RunningServer) -> None:
    with _connect(server) as half, _connect(server) as whole:
        half.sendall(ASK[:20])
        for _ in range(20):
            assert _ask(whole).startswith(b"HTTP/1.1 200")
        assert _ask(half, ASK[20:]).startswith(b"HTTP/1.1 200")


@pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")
def test_who_reads_each_answer_at_once_is_no_slow_reader_however_long_the_answers_take(settings: Settings) -> None:
    def slow(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        time.sleep(0.6)  # so the loop looks when an answer is there to be sent, each time
        start_response("200 OK", [("Content-Length", "2")])
        return [b"{}"]

    with served_here(slow, replace(settings, request_seconds=1.0)) as url, httpx.Client(base_url=url) as client:
        for _ in range(6):
            assert client.get("/").content == b"{}"


@pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")
def test_a_connection_that_ended_while_a_child_process_began_takes_nobody_along_who_gets_its_number(
    settings: Settings,
) -> None:
    def answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"{}"]

    with served_here(answer, settings) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=10) as first:
            assert _ask(first, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200")
            ended = _served(first)
            number = ended._fileno
            inherited = os.dup(number)  # as a process has it that was forked and has not begun its program yet
        try:
            wait_until(lambda: ended.socket is None)
            with socket.create_connection(address, timeout=10) as second:
                wait_until(lambda: _served(second) is not None)
                assert _served(second)._fileno == number
                time.sleep(0.05)
                assert _ask(second, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200")
        finally:
            os.close(inherited)


def _served(connection: socket.socket) -> Any:
    """Return the server's side of a connection of this process."""
    channels = [one for one in gc.get_objects() if isinstance(one, Channel)]
    return next((one for one in channels if one.addr == connection.getsockname()), None)


def test_a_loop_without_events_uses_no_processor_time(server: RunningServer) -> None:
    with ExitStack() as kept:
        for _ in range(200):
            _ask(kept.enter_context(_connect(server)))
        before = _cpu_seconds(server.process.pid)
        time.sleep(2)
        assert _cpu_seconds(server.process.pid) - before < 0.3


def test_the_limit_of_connections_is_one_that_descriptors_allow() -> None:
    assert listening.CONNECTIONS + 500 < OPEN_FILES


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
