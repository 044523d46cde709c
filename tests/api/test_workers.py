"""Several processes on one port: what one process promises, and what only several can break."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.test import Client

from mm_core.api.access_log import AccessLog
from mm_core.api.forwarding import Forwarding
from mm_core.api.metrics import Metrics
from mm_core.probe import probe
from mm_core.registry import Registry
from tests.api.conftest import (
    PROJECT,
    RunningServer,
    launched,
    register,
    save_mean,
    wait_until_published,
)
from tests.api.test_server import (
    test_a_bot_pulls_a_payload_and_then_nothing_but_304_on_one_connection,
    test_a_bot_that_stopped_reading_does_not_hold_the_stop_up,
    test_a_changed_file_is_served_after_the_debounce_without_being_asked_for,
    test_a_client_that_is_connected_is_answered_while_the_server_ends_and_nobody_else_gets_in,
    test_a_port_in_use_stops_the_start_with_a_sentence,
    test_a_registration_of_many_groups_leaves_others_answered,
    test_a_request_that_is_still_arriving_when_the_server_ends_is_answered,
    test_a_stop_under_load_loses_no_request,
    test_every_request_is_one_json_line_in_the_log,
    test_idle_connections_do_not_hold_the_stop_up,
    test_sigterm_finishes_a_slow_answer_and_ends_within_ten_seconds,
)
from tests.asking import http
from tests.waiting import wait_until

__all__ = [
    "test_a_bot_pulls_a_payload_and_then_nothing_but_304_on_one_connection",
    "test_a_bot_that_stopped_reading_does_not_hold_the_stop_up",
    "test_a_changed_file_is_served_after_the_debounce_without_being_asked_for",
    "test_a_client_that_is_connected_is_answered_while_the_server_ends_and_nobody_else_gets_in",
    "test_a_port_in_use_stops_the_start_with_a_sentence",
    "test_a_registration_of_many_groups_leaves_others_answered",
    "test_a_request_that_is_still_arriving_when_the_server_ends_is_answered",
    "test_a_stop_under_load_loses_no_request",
    "test_every_request_is_one_json_line_in_the_log",
    "test_idle_connections_do_not_hold_the_stop_up",
    "test_sigterm_finishes_a_slow_answer_and_ends_within_ten_seconds",
]

Start = Callable[..., RunningServer]
VOLATILE = {"date", "x-request-id", "etag", "content-length"}


@pytest.fixture
def start_server(start_server: Start) -> Start:
    """Start servers with two workers where nothing else is asked for, and wait until all of them serve."""

    def start(**settings: str) -> RunningServer:
        server = start_server(**{"WORKERS": "2", **settings})
        wait_until(lambda: _health(server)["workers"] == int(settings.get("WORKERS", "2")))
        return server

    return start


def _health(server: RunningServer) -> dict[str, Any]:
    document: dict[str, Any] = http.get(server.url + "/api/health").json()
    return document


def _workers_of(server: RunningServer) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(server.process.pid), "-f", "mm_core.api.worker"], capture_output=True)
    return [int(line) for line in listed.stdout.split()]


def _told(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Return what must be equal whoever answers: without ids and times, and what is made of them."""
    headers = {name: value for name, value in answer.headers.items() if name not in VOLATILE}
    body = answer.content
    if headers.get("content-type", "").endswith("json") and body:
        document = json.loads(body)
        for name in ("request_id", "scanned_at", "updated_at", "created_at"):
            document.pop(name, None)
        return answer.status_code, headers, document
    return answer.status_code, headers, body


def test_workers_serve_the_state_that_the_command_line_names(
    start_server: Start, model_root: Path, tmp_path: Path
) -> None:
    of_the_environment = start_server()
    register(of_the_environment, model_root)
    wait_until_published(of_the_environment)
    assert of_the_environment.stop() == 0
    command = [sys.executable, "-m", "mm_core", "--data-dir", str(tmp_path / "named"), "serve"]
    server = launched(tmp_path, command, PROJECT, WORKERS="2")
    try:
        server.wait_until_it_answers()
        wait_until(lambda: _health(server)["workers"] == 2)
        pulled = server.url + "/api/models/m/model/SOLUSDT"
        assert http.get(pulled).status_code == 404
        register(server, model_root)
        save_mean(server, "SOLUSDT", 0.5)
        wait_until_published(server)
        for _ in range(4):
            assert http.get(pulled).json()["payload"]["factor_config"]["SOLUSDT"]["mean_values"][0] == 0.5
    finally:
        server.process.kill()
        server.process.wait()


def test_workers_answer_as_one_process_does(start_server: Start, model_root: Path, tmp_path: Path) -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/models", {"json": {"model_name": "m", "root_path": str(model_root)}}),
        ("POST", "/api/models", {"json": {"model_name": "a/b", "root_path": str(model_root)}}),
        ("POST", "/api/models", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        ("GET", "/api/models/m/symbols", {}),
        ("GET", "/api/models/m/factors", {"headers": {"Accept-Encoding": "identity"}}),
        ("GET", "/api/models/m/symbols/SOLUSDT/factor-config", {}),
        ("GET", "/api/models/m/symbols/none", {}),
        ("GET", "/api/models/m/model/S%C3%B6l?group_key=%2F..%2F", {}),
        ("GET", "/api/models/m/model/no%20such%2Fsymbol", {}),
        ("HEAD", "/api/models/m/symbols", {}),
        ("PUT", "/api/models/m/symbols/SOLUSDT/factor-config", {"json": {"SOLUSDT": {}}}),
        ("PUT", "/api/models/m/symbols/SOLUSDT/factor-config", {"json": {}, "headers": {"Origin": "http://evil"}}),
        ("PATCH", "/api/models", {}),
        ("GET", "/nothing", {}),
        ("GET", "/", {"headers": {"Host": "desk.example:6300"}}),
        ("POST", "/api/models/m/refresh", {}),
        ("DELETE", "/api/models/gone", {}),
    ]
    answers = []
    for workers in ("1", "2"):
        server = start_server(WORKERS=workers, DATA_DIR=str(tmp_path / workers), WATCH_ENABLED="0")
        with httpx.Client(base_url=server.url, timeout=30) as client:
            answers.append([_told(client.request(method, path, **more)) for method, path, more in requests])
    for (method, path, _), alone, with_workers in zip(requests, *answers, strict=True):
        assert alone == with_workers, (method, path)


def test_what_one_worker_was_told_every_worker_answers_at_once(start_server: Start, model_root: Path) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    config = "/api/models/m/symbols/SOLUSDT/factor-config"
    document = http.get(server.url + config).json()
    tags = set()
    for number in range(40):
        document["SOLUSDT"]["mean_values"][0] = float(number)
        assert http.put(server.url + config, json=document).status_code == 200
        for _ in range(4):  # each on a connection of its own, so that both workers are asked
            pulled = http.get(server.url + "/api/models/m/model/SOLUSDT")
            assert pulled.json()["payload"]["factor_config"]["SOLUSDT"]["mean_values"][0] == number
            tags.add(pulled.headers["ETag"])
    assert len(tags) == 40


def test_a_killed_worker_costs_its_own_requests_and_is_replaced(start_server: Start, model_root: Path) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    url = server.url + "/api/models/m/model/SOLUSDT"
    wait_until_published(server)
    ended, lost, answered = threading.Event(), [0] * 8, [0] * 8

    def pull(bot: int) -> None:
        with httpx.Client() as client:
            while not ended.is_set():
                try:
                    assert client.get(url).status_code == 200
                    answered[bot] += 1
                except httpx.TransportError:
                    lost[bot] += 1

    bots = [threading.Thread(target=pull, args=(bot,)) for bot in range(8)]
    for bot in bots:
        bot.start()
    first = _workers_of(server)
    for victim in first:
        before = sum(answered)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda gone=victim: gone not in _workers_of(server) and len(_workers_of(server)) == 2)
        wait_until(lambda least=before: sum(answered) > least + 50)
    ended.set()
    for bot in bots:
        bot.join()
    assert sum(lost) <= 2 * len(bots), "more was lost than what was in flight"
    assert set(_workers_of(server)).isdisjoint(first)
    assert "worker_ended" in server.log.read_text()


def test_workers_end_with_the_process_that_owns_the_state(start_server: Start) -> None:
    server = start_server()
    workers = _workers_of(server)
    assert len(workers) == 2
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not any(_command_of(worker) for worker in workers))


def _command_of(pid: int) -> bytes:
    """Return the command line of a process, empty for one that has ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_the_figures_are_those_of_all_workers(start_server: Start, model_root: Path) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    for _ in range(30):
        http.get(server.url + "/api/models/m/model/SOLUSDT")
    for worker in _workers_of(server)[:1]:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(_workers_of(server)) == 2)
    figures = http.get(server.url + "/metrics").text
    pulls = [
        line for line in figures.splitlines() if line.startswith("model_manager_requests_total") and "/model/" in line
    ]
    assert [line.rsplit(" ", 1)[1] for line in pulls] == ["30.0"]


def test_what_workers_hold_in_memory_is_summed_and_goes_with_them(start_server: Start, model_root: Path) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    wait_until_published(server)
    for _ in range(40):  # each is a connection of its own, to one of the workers or the other
        body = http.get(server.url + "/api/models/m/model/SOLUSDT").headers["content-length"]

    def held() -> tuple[float, float, float]:
        figures = probe(server.url).figures
        hits, misses = (figures[f"model_manager_cache_{name}_total"] for name in ("hits", "misses"))
        return hits, misses, figures["model_manager_cache_bytes"] / int(body)

    wait_until(lambda: held() == (38.0, 2.0, 2.0))
    victim = _workers_of(server)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in _workers_of(server) and len(_workers_of(server)) == 2)
    assert held() == (38.0, 2.0, 1.0), "what it counted stays, what it held does not"


def test_ready_payloads_need_no_owner(start_server: Start, model_root: Path) -> None:
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    wait_until_published(server)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        pulled = http.get(server.url + "/api/models/m/model/SOLUSDT")
        assert pulled.status_code == 200, "ready payloads need no owner"
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def test_a_long_path_of_temporary_files_is_no_obstacle(
    start_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    server = start_server()
    assert http.get(server.url + "/api/models").json() == {"items": []}
    assert server.stop() == 0
    assert list(deep.iterdir()) == []


def test_what_only_an_owner_can_answer_is_a_problem_document_without_one(registry: Registry, tmp_path: Path) -> None:
    client = Client(AccessLog(Forwarding(str(tmp_path / "nobody")), Metrics(registry)))
    answer = client.get("/api/models", headers={"X-Request-Id": "trace-me"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json is not None
    assert (answer.json["instance"], answer.json["request_id"]) == ("/api/models", "trace-me")
