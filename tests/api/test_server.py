"""The real server in a process of its own: start, pull, drain, stop."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mm_core.api.draining import DRAIN_SECONDS
from tests.api.conftest import RunningServer, register, wait_until_published
from tests.asking import http
from tests.attacks.raw_http import ask, connect, next_answer, request
from tests.processes import free_port
from tests.waiting import wait_until

Start = Callable[..., RunningServer]
PROJECT = Path(__file__).parent.parent.parent


def test_a_bot_pulls_a_payload_and_then_nothing_but_304_on_one_connection(
    start_server: Start, model_root: Path
) -> None:
    server = start_server()
    register(server, model_root)
    with httpx.Client(base_url=server.url, headers={"Accept-Encoding": "gzip"}) as bot:
        first = bot.get("/api/models/m/model/SOLUSDT")
        assert (first.status_code, first.headers["Content-Encoding"]) == (200, "gzip")
        network = first.extensions["network_stream"].get_extra_info("client_addr")
        for _ in range(3):
            again = bot.get("/api/models/m/model/SOLUSDT", headers={"If-None-Match": first.headers["ETag"]})
            assert again.status_code == 304
            assert again.extensions["network_stream"].get_extra_info("client_addr") == network
        last = bot.get("/api/models/m/model/SOLUSDT")
    assert last.json() == first.json()


def test_sigterm_finishes_a_slow_answer_and_ends_within_ten_seconds(start_server: Start, large_root: Path) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, large_root)
    url = server.url + "/api/models/m/model/BIG"
    expected = int(http.head(url, headers={"Accept-Encoding": "identity"}, timeout=60).headers["Content-Length"])
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as bot:
        bot.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        bot.sendall(b"GET /api/models/m/model/BIG HTTP/1.1\r\nHost: x\r\n\r\n")
        received = bot.recv(65536)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None, "ended with an answer in flight"
        while chunk := bot.recv(1 << 20):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(body) == expected
    assert server.process.wait(10) == 0
    assert time.monotonic() - started < 10


def test_a_bot_that_stopped_reading_does_not_hold_the_stop_up(start_server: Start, large_root: Path) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, large_root)
    with connect(server.url) as bot, connect(server.url) as half:
        bot.sendall(request("/api/models/m/model/BIG"))
        assert bot.recv(1000)
        half.sendall(request("/api/models", "POST", Content_Type="application/json", Content_Length="10") + b"{")
        time.sleep(0.1)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        answer = next_answer(half)
        assert server.process.wait(12) == 0
    assert time.monotonic() - started < 10
    assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
    assert b"Send it again" in answer.body


def test_a_client_that_is_connected_is_answered_while_the_server_ends_and_nobody_else_gets_in(
    start_server: Start, model_root: Path
) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    wait_until_published(server)
    pull = request("/api/models/m/model/SOLUSDT")
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(connect(server.url)) for _ in range(6)]
        silent = [stack.enter_context(connect(server.url)) for _ in range(6)]
        for bot in kept:
            answer = ask(bot, pull)
            assert (answer.status, answer.headers.get("connection")) == (200, None)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with pytest.raises(ConnectionRefusedError):
            stack.enter_context(connect(server.url))
        health = ask(kept.pop(), request("/api/health"))
        assert (health.status, health.headers["connection"]) == (503, "close")
        unchanged = ask(kept.pop(), request("/api/models/m/model/SOLUSDT", If_None_Match="*"))
        assert (unchanged.status, unchanged.headers["connection"]) == (304, "close")
        for bot in (*kept, *silent):
            answer = ask(bot, pull)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert server.process.wait(5) == 0


def test_a_request_that_is_still_arriving_when_the_server_ends_is_answered(
    start_server: Start, model_root: Path
) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    config = "/api/models/m/symbols/SOLUSDT/factor-config"
    body = json.dumps({"SOLUSDT": {"mean_values": [0.5] * 3, "variance_values": [1.0] * 3}}).encode()
    whole = request(config, "PUT", body, Content_Type="application/json")
    with connect(server.url) as body_comes, connect(server.url) as head_comes:
        body_comes.sendall(whole[:-10])
        head_comes.sendall(whole[:20])
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        for connection, rest in ((body_comes, whole[-10:]), (head_comes, whole[20:])):
            answer = ask(connection, rest)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert server.process.wait(5) == 0


def test_a_stop_under_load_loses_no_request(start_server: Start, model_root: Path) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    wait_until_published(server)
    url = server.url + "/api/models/m/model/SOLUSDT"
    whole = len(http.get(url, headers={"Accept-Encoding": "identity"}).content)
    lost, answered = [], []

    def pull(keeps: bool) -> None:
        headers = {"Accept-Encoding": "identity", **({} if keeps else {"Connection": "close"})}
        with httpx.Client(headers=headers) as client:
            while True:
                try:
                    answer = client.get(url)
                except httpx.ConnectError as error:
                    if "refused" not in str(error):
                        lost.append(repr(error))
                    return
                except httpx.TransportError as error:
                    lost.append(repr(error))
                    return
                answered.append((answer.status_code, len(answer.content)))

    bots = [threading.Thread(target=pull, args=(number % 2 == 0,)) for number in range(12)]
    for bot in bots:
        bot.start()
    wait_until(lambda: len(answered) > 200)
    assert server.stop() == 0
    for bot in bots:
        bot.join()
    assert lost == []
    assert set(answered) == {(200, whole)}


def test_a_request_that_takes_too_long_does_not_hold_the_stop_up(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "slow.py").write_text(SLOW)
    process = subprocess.Popen([sys.executable, str(tmp_path / "slow.py"), str(port)], cwd=PROJECT, env=WITH_PROJECT)
    try:
        wait_until(lambda: _listens(port))
        with connect(f"http://127.0.0.1:{port}", seconds=20) as client:
            client.sendall(request("/"))
            time.sleep(0.2)
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert DRAIN_SECONDS <= time.monotonic() - started < 10


SLOW = """
import socket, sys, threading, time
from mm_core.api.draining import StopSignals
from mm_core.api.listening import run, server_on
from mm_core.settings import load_settings

def application(environ, start_response):
    time.sleep(60)

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
server = server_on([listener], application, load_settings({}))
with StopSignals(server, threading.Event()):
    run(server)
"""
WITH_PROJECT = {**os.environ, "PYTHONPATH": str(PROJECT)}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_idle_connections_do_not_hold_the_stop_up(start_server: Start) -> None:
    server = start_server()
    host, port = server.url.removeprefix("http://").split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(20)]
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 6, "a second of grace in each process, not the eight of a drain"
    for connection in idle:
        connection.close()


def test_the_server_imports_neither_pandas_nor_xgboost_nor_streamlit() -> None:
    program = (
        "import sys, mm_core.api.server, mm_core.wiring; "
        "print(sorted({'pandas', 'xgboost', 'lightgbm', 'streamlit', 'numpy', 'plotly', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_registration_of_many_groups_leaves_others_answered(
    start_server: Start, write_group: Callable[..., Path], booster_pickle: bytes
) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, write_group("FIRST_r"), "first")
    for number in range(200):
        root = write_group(f"S{number}_r", model_json=None, model_pkl=booster_pickle)
    done = threading.Event()

    def register_many() -> None:
        register(server, root, "many")
        done.set()

    thread = threading.Thread(target=register_many)
    thread.start()
    slowest, answered = 0.0, 0
    with httpx.Client(base_url=server.url, timeout=10) as bot:
        while not done.is_set():
            started = time.monotonic()
            assert bot.get("/api/models/first/model/FIRST").status_code == 200
            slowest, answered = max(slowest, time.monotonic() - started), answered + 1
    thread.join()
    assert answered > 20
    assert slowest < 1.0


def test_a_changed_file_is_served_after_the_debounce_without_being_asked_for(
    start_server: Start, model_root: Path
) -> None:
    server = start_server()
    register(server, model_root)
    url = server.url + "/api/models/m/model/SOLUSDT"
    before = http.get(url)
    started = time.monotonic()
    (model_root / "SOLUSDT_mid_chg_1m_factors.txt").write_text("a\nb\nc\n")
    while time.monotonic() - started < 15:
        answer = http.get(url, headers={"If-None-Match": before.headers["ETag"], "Accept-Encoding": "identity"})
        if answer.status_code == 200 and "a" in [row["factor_name"] for row in answer.json()["payload"]["dim_factors"]]:
            break
        time.sleep(0.05)
    else:
        pytest.fail(server.log.read_text())
    health = http.get(server.url + "/api/health").json()
    assert (health["watcher"]["mode"], health["watcher"]["refreshes"]) == ("events", 1)


def test_every_request_is_one_json_line_in_the_log(start_server: Start) -> None:
    server = start_server()
    http.get(server.url + "/api/models", headers={"X-Request-Id": "trace-me"})
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (request,) = [line for line in lines if line.get("request_id") == "trace-me"]
    assert (request["method"], request["route"], request["status"]) == ("GET", "/api/models", 200)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", request["at"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"HTP_PORT": "1"}, "MODEL_MANAGER_HTP_PORT is not a setting"), ({"WORKERS": "many"}, "MODEL_MANAGER_WORKERS")],
)
def test_settings_that_make_no_sense_stop_the_start_with_a_sentence(
    settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "payload_server.py")],
        env={f"MODEL_MANAGER_{name}": value for name, value in settings.items()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_stops_the_start_with_a_sentence(start_server: Start, tmp_path: Path) -> None:
    server = start_server()
    port = server.url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, str(PROJECT / "payload_server.py")],
        env={"MODEL_MANAGER_HTTP_HOST": "127.0.0.1", "MODEL_MANAGER_HTTP_PORT": port},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, "it is in use" in done.stderr) == (2, True)
