"""Clients that speak slowly, read slowly or say nothing, and bodies larger than any honest one."""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
import time
from collections.abc import Iterator

import pytest

from tests.api.conftest import register, wait_until_published
from tests.asking import http
from tests.attacks.conftest import PAYLOAD, Target
from tests.attacks.raw_http import answers_in, ask, connect, next_answer, request, reset, rest_of
from tests.conftest import write_group_below
from tests.waiting import wait_until

SETTINGS = {"REQUEST_SECONDS": "1", "IDLE_SECONDS": "2", "THREADS": "4"}
LARGE = "/api/models/large/model/LARGE"
HUGE = "/api/models/huge/model/HUGE"
USUAL_SECONDS = 3.0
"""More than a pull takes beside an attack on two slow cores."""

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def large_models(target: Target, booster_json: bytes) -> None:
    """Payloads of 3 MB, which the loop sends, and of 6 MB, which threads send."""
    hex_digits = random.Random(1).randbytes(3 * MEBIBYTE // 2).hex()
    for model_name, padding in (("large", hex_digits), ("huge", "x" * 6 * MEBIBYTE)):
        document = json.loads(booster_json)
        document["learner"]["attributes"] = {"padding": padding}
        key = f"{model_name.upper()}_r"
        model = json.dumps(document).encode()
        root = write_group_below(target.root.parent / model_name, booster_json, key, model_json=model)
        register(target.server, root, model_name)
        wait_until_published(target.server, model_name)
    for path in (LARGE, HUGE):
        assert http.get(target.url + path, headers={"Accept-Encoding": "identity"}, timeout=60).status_code == 200


@contextlib.contextmanager
def _usual(target: Target) -> Iterator[None]:
    """Check that pulls take no longer than usual as long as the context lasts."""
    target.bystander.forget_slowest()
    yield
    assert target.bystander.told().slowest_seconds < USUAL_SECONDS


def _drip(connections: list[socket.socket], data: bytes, seconds: float) -> None:
    """Write a byte at a time on every connection."""
    end, position = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(data[position % len(data) :][:1])
        position += 1
        time.sleep(0.1)


def test_requests_that_arrive_too_slowly_are_answered_408_and_cost_the_others_nothing(target: Target) -> None:
    with contextlib.ExitStack() as stack, _usual(target):
        heads, bodies = ([stack.enter_context(connect(target.url)) for _ in range(200)] for _ in range(2))
        for head in heads:
            head.sendall(b"GET " + PAYLOAD.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        for body in bodies:
            body.sendall(request("/api/models", "POST", Content_Type="application/json", Content_Length="1000000"))
        _drip([*heads, *bodies], b"a", 2.5)
        for connection in (*heads, *bodies):
            (answer,) = answers_in(rest_of(connection))
            assert (answer.status, answer.headers["connection"]) == (408, "close")
    wait_until(lambda: target.connections() < 20)


def test_a_request_that_keeps_moving_may_take_its_time(target: Target) -> None:
    body = b'{"model_name": "../m", "root_path": "/' + b"x" * 18_000 + b'"}'
    with connect(target.url) as connection:
        connection.sendall(request("/api/models", "POST", body, Content_Type="application/json")[: -len(body)])
        started = time.monotonic()
        for position in range(0, len(body), 1000):
            connection.sendall(body[position : position + 1000])
            time.sleep(0.1)
        assert next_answer(connection).status == 400
        assert time.monotonic() - started > float(SETTINGS["REQUEST_SECONDS"]) + 0.5


def test_empty_lines_behind_a_request_are_no_request_and_keep_no_connection(target: Target) -> None:
    with connect(target.url) as bot:
        assert ask(bot, request(PAYLOAD)).status == 200
        began, told = time.monotonic(), b""
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 6 and not select.select([bot], [], [], 0.2)[0]:
                bot.sendall(b"\r\n")
            told = bot.recv(1 << 16)
    assert told == b"", "nobody asked"
    assert 1.9 < time.monotonic() - began < 5
    with connect(target.url) as bot:
        for behind in (b"\r\n", b"\r", b"\n"):
            bot.sendall(behind)
            time.sleep(0.1)
        assert ask(bot, request(PAYLOAD, "HEAD"), "HEAD").status == 200


def test_a_request_that_waits_for_the_answer_before_it_is_not_slow(target: Target) -> None:
    revision = http.get(target.url + "/api/models/m/changes").json()["revision"]
    changes = request(f"/api/models/m/changes?since={revision}&wait=3")
    with connect(target.url) as connection:
        began = time.monotonic()
        connection.sendall(changes + request(PAYLOAD)[:20])
        assert len(answers_in(connection.recv(1 << 16))) == 1
        assert time.monotonic() - began > 2.5, "longer than a request may take to arrive"
        connection.sendall(request(PAYLOAD, Connection="close")[20:])
        assert [answer.status for answer in answers_in(rest_of(connection))] == [200]


def test_connections_that_say_nothing_are_closed_the_sooner_if_they_never_did(target: Target) -> None:
    with connect(target.url) as silent:
        started = time.monotonic()
        assert rest_of(silent, 6) == b""
        assert 0.9 < time.monotonic() - started < 1.9 + USUAL_SECONDS
    with connect(target.url) as bot:
        assert ask(bot, request(PAYLOAD)).status == 200
        again = time.monotonic()
        assert rest_of(bot, 8) == b""
        assert 1.9 < time.monotonic() - again < 3.5 + USUAL_SECONDS


@pytest.mark.parametrize(("path", "readers_count", "answers"), [(LARGE, 50, 3), (HUGE, 12, 4)])
def test_readers_that_stop_are_dropped_and_hold_no_thread_and_little_memory(
    target: Target, path: str, readers_count: int, answers: int
) -> None:
    before = target.memory_bytes()
    with contextlib.ExitStack() as stack, _usual(target):
        readers = [stack.enter_context(connect(target.url, receive_buffer=4096)) for _ in range(readers_count)]
        for reader in readers:
            reader.sendall(request(path, Accept_Encoding="gzip" if path == LARGE else "identity") * answers)
        for reader in readers:
            assert select.select([reader], [], [], 20)[0], "the first bytes come at once"
        with connect(target.url) as bot:
            started = time.monotonic()
            for _ in range(5):
                assert ask(bot, request("/api/models/m/symbols")).status == 200
            assert time.monotonic() - started < USUAL_SECONDS
        grown = target.memory_bytes() - before
        wait_until(lambda: target.connections() < 20)
    print(f"\n{readers_count} readers of {path} that stopped: {grown / MEBIBYTE:.0f} MiB more")
    assert grown < 120 * MEBIBYTE


def test_a_reader_that_keeps_moving_gets_every_byte(target: Target) -> None:
    expected = http.get(target.url + HUGE, headers={"Accept-Encoding": "identity"}).content
    received = bytearray()
    with connect(target.url, receive_buffer=1 << 17) as reader:
        reader.sendall(request(HUGE, Connection="close"))
        started = time.monotonic()
        while data := reader.recv(1 << 16):
            received += data
            time.sleep(0.03)
    assert bytes(received).endswith(expected)
    assert time.monotonic() - started > float(SETTINGS["REQUEST_SECONDS"])


def test_clients_that_vanish_leave_nothing_behind(target: Target) -> None:
    before = sum(process.num_fds() for process in target.processes())
    half = request(HUGE)[:30]
    put = request("/api/models", "POST", Content_Type="application/json", Content_Length="600000") + b"x" * 550_000
    with _usual(target):
        for data in (b"", half, request(PAYLOAD), request(LARGE) * 3, request("/api/models/m/symbols") * 9, put):
            for number in range(30):
                connection = connect(target.url, receive_buffer=4096)
                connection.sendall(data)
                if number % 3 == 0:
                    reset(connection)
                elif number % 3 == 1:
                    connection.shutdown(socket.SHUT_WR)
                connection.close()
        wait_until(lambda: sum(process.num_fds() for process in target.processes()) <= before + 4)
        assert target.connections() < 20


@pytest.mark.parametrize("expects", [True, False])
def test_a_body_of_100_mb_is_refused_before_it_is_taken(target: Target, expects: bool) -> None:
    before = target.memory_bytes()
    headers = {"Content_Type": "application/json", "Content_Length": str(100 << 20)}
    head = request("/api/models", "POST", **headers, **({"Expect": "100-continue"} if expects else {}))
    with connect(target.url) as connection:
        connection.sendall(head)
        sent = 0 if expects else _pour(connection, b"x" * 65_536, 100 << 20)
        (answer,) = answers_in(rest_of(connection))
    assert answer.status == 413
    assert sent < 20 << 20
    assert target.memory_bytes() - before < 30 * MEBIBYTE


def test_100_mb_in_chunks_are_refused_at_8(target: Target) -> None:
    before = target.memory_bytes()
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    head = request("/api/models", "POST", Content_Type="application/json", Transfer_Encoding="chunked")
    with connect(target.url) as connection, _usual(target):
        connection.sendall(head)
        sent = _pour(connection, chunk, 100 << 20)
        (answer,) = answers_in(rest_of(connection))
    assert answer.status == 413
    assert sent < 30 << 20
    assert target.memory_bytes() - before < 30 * MEBIBYTE


def _pour(connection: socket.socket, data: bytes, size: int) -> int:
    """Send ``data`` over and over until something comes back, or ``size`` bytes are sent; return how many were."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < size and not select.select([connection], [], [], 0)[0]:
            sent += connection.send(data)
    return sent


def test_a_client_that_writes_all_before_it_reads_is_told_too(target: Target) -> None:
    answer = http.post(
        target.url + "/api/models",
        content=b"x" * (100 << 20),
        headers={"Content-Type": "application/json"},
        timeout=20,
    )
    assert answer.status_code == 413


def test_what_was_refused_is_in_the_log_and_in_the_figures(target: Target) -> None:
    with connect(target.url) as connection:
        ask(connection, request(PAYLOAD, X_Request_Id="odd", Content_Length="-1"))
    wait_until(lambda: any(line["request_id"] == "odd" for line in target.request_lines()))
    (line,) = [line for line in target.request_lines() if line["request_id"] == "odd"]
    assert (line["route"], line["status"], line["path"]) == ("refused", 400, PAYLOAD)
    figures = http.get(target.url + "/metrics").text
    assert 'model_manager_requests_total{method="GET",route="refused",status="400"}' in figures
