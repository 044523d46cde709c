"""``Expect: 100-continue``: clients that wait to be asked for a body, have none, or vanish before they are asked."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mm_core.api.channels import Channel
from mm_core.api.event_loop import EventLoop
from mm_core.settings import Settings
from tests.attacks.conftest import Target
from tests.attacks.in_process import served_here
from tests.attacks.raw_http import answers_in, ask, connect, next_answer, request, reset, rest_of
from tests.waiting import wait_until

SETTINGS = {"WRITE_TOKEN": "secret", "THREADS": "4"}
AUTHORIZED = {"Authorization": "Bearer secret"}
EXPECTS = {"Expect": "100-continue"}
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
BODILESS: dict[str, bytes] = {
    "no body": request("/api/models/m/refresh", "POST", **AUTHORIZED, **EXPECTS),
    "a body of no bytes": request("/api/models/m/refresh", "POST", Content_Length="0", **AUTHORIZED, **EXPECTS),
    "no chunk but the last": request(
        "/api/models/m/refresh", "POST", Transfer_Encoding="chunked", **AUTHORIZED, **EXPECTS
    )
    + b"0\r\n\r\n",
    "a question": request("/api/models", **AUTHORIZED, **EXPECTS),
}


@pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")
def test_no_thread_but_the_loops_ends_a_connection_whose_client_vanished(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_answer, ended_by = threading.Semaphore(0), threading.Event(), []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked.release()
        assert may_answer.wait(10)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"{}"]

    as_it_is = Channel.handle_close

    def handle_close(channel: Channel) -> None:
        ended_by.append(threading.current_thread().name)
        as_it_is(channel)

    monkeypatch.setattr(Channel, "handle_close", handle_close)
    waiting = request("/slow") + request("/", "PUT", Content_Length="5", **EXPECTS)
    with served_here(application, settings) as url:
        clients = [connect(url) for _ in range(3)]
        for client in clients:
            client.sendall(waiting)
        for _ in clients:
            assert asked.acquire(timeout=10)
        time.sleep(0.1)
        for client in clients:
            reset(client)
        may_answer.set()
        wait_until(lambda: len(ended_by) >= len(clients))
    assert set(ended_by) == {"loop"}


@pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")
def test_a_client_that_is_lost_before_it_can_be_asked_for_its_body_is_no_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, tried = threading.Event(), threading.Event()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked.set()
        time.sleep(0.1)
        start_response("200 OK", [("Content-Length", "20000")])
        return [b"x" * 20_000]

    as_it_is = Channel.send_continue

    def send_continue(channel: Channel) -> None:
        channel.will_close = True
        channel.server.pull_trigger()
        wait_until(lambda: not channel.connected)
        as_it_is(channel)
        tried.set()

    monkeypatch.setattr(Channel, "send_continue", send_continue)
    with served_here(application, settings) as url, connect(url) as client:
        client.sendall(request("/slow") + request("/", "PUT", Content_Length="5", **EXPECTS))
        assert asked.wait(10)
        assert tried.wait(10)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_a_connection_that_ends_while_it_is_asked_costs_only_itself() -> None:
    """What a thread closes between the question and the system's answer is forgotten, and the loop goes on."""
    first, other_end = socket.socketpair()
    second, speaker = socket.socketpair()
    connections: dict[int, Any] = {}
    loop = EventLoop(connections)

    class Ending:
        accepting = False

        def readable(self) -> bool:
            loop._wanted[first.fileno()] = 4
            del connections[first.fileno()]
            descriptors.append(first.fileno())
            first.close()
            return True

        def writable(self) -> bool:
            return False

    class Lasting(Ending):
        def readable(self) -> bool:
            return True

        def handle_read_event(self) -> None:
            heard.append(second.recv(10))
            raise KeyboardInterrupt

    descriptors: list[int] = []
    heard: list[bytes] = []
    connections[first.fileno()] = Ending()
    connections[second.fileno()] = Lasting()
    speaker.sendall(b"hello")
    with pytest.raises(KeyboardInterrupt), other_end, second, speaker:
        loop.run()
    assert heard == [b"hello"]
    assert descriptors[0] not in loop._wanted


@pytest.mark.parametrize("data", BODILESS.values(), ids=BODILESS.keys())
def test_a_request_without_a_body_is_answered_whatever_it_expects_and_lends_nothing_to_the_next(
    target: Target, asked_again: Callable[[], None], data: bytes
) -> None:
    with connect(target.url) as connection:
        answer = ask(connection, data)
        assert answer.status == 200
        (problem,) = answers_in(_told(connection, b"DELETE /api/models/m HTTP/1.1\r\nX-Nothing: of a host\r\n\r\n"))
    assert (problem.status, "no Host header" in json.loads(problem.body)["detail"]) == (400, True)
    with connect(target.url) as connection:
        told = _told(connection, data + request("/api/models/m", "DELETE", Connection="close"))
        assert [answer.status for answer in answers_in(told)] == [200, 401]
        assert not told.startswith(GO_ON)


def _told(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return rest_of(connection)


def test_requests_without_a_body_hold_no_thread_whatever_they_expect(target: Target) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(target.url)) for _ in range(16)]
        for client in clients:
            client.sendall(BODILESS["no chunk but the last"])
        with connect(target.url, seconds=5) as honest:
            assert ask(honest, request("/api/models")).status == 200
        for client in clients:
            assert next_answer(client).status == 200


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(target: Target) -> None:
    body = b'{"model_name": "../m", "root_path": "/"}'
    head = request(
        "/api/models", "POST", Content_Type="application/json", Content_Length=str(len(body)), **AUTHORIZED, **EXPECTS
    )
    with connect(target.url) as connection:
        for before in (b"", request("/api/models/m/symbols")):
            connection.sendall(before + head)
            received = b""
            while not received.endswith(GO_ON):
                received += connection.recv(1 << 16)
            assert [answer.status for answer in answers_in(received.removesuffix(GO_ON))] == [200] * bool(before)
            assert ask(connection, body).status == 400
    with connect(target.url) as connection:
        connection.sendall(head + body + request("/nothing", Connection="close"))
        received = rest_of(connection)
    assert received.startswith(b"HTTP/1.1 400"), "what is there already is not asked for"
