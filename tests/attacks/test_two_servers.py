"""Two servers started on one data directory: both serve, both tell of changes, nothing is lost, one publishes."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import RunningServer, register, save_mean, start_server, wait_until_published
from tests.asking import http
from tests.conftest import config_of
from tests.waiting import wait_until

__all__ = ["start_server"]

Start = Callable[..., RunningServer]


@pytest.fixture
def servers(start_server: Start, model_root: Path, request: pytest.FixtureRequest) -> list[RunningServer]:
    """Two servers on two ports and one data directory, with one process each or more; the first one publishes."""
    workers = getattr(request, "param", "1")
    first = start_server(WORKERS=workers)
    register(first, model_root)
    wait_until_published(first)
    second = start_server(WORKERS=workers)
    wait_until(lambda: _changes(second, 0)["revision"] == _changes(first, 0)["revision"])
    return [first, second]


def _changes(server: RunningServer, since: int, wait: int = 0) -> dict[str, Any]:
    answer = http.get(f"{server.url}/api/models/m/changes?since={since}&wait={wait}", timeout=30)
    document: dict[str, Any] = answer.json()
    return document


def _mean(server: RunningServer, symbol: str = "SOLUSDT") -> float:
    payload = http.get(f"{server.url}/api/models/m/model/{symbol}").json()["payload"]
    return float(payload["factor_config"][symbol]["mean_values"][0])


def _log(server: RunningServer) -> list[str]:
    return [json.loads(line)["event"] for line in server.log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("servers", ["1", "2"], ids=["one process each", "two workers each"], indirect=True)
def test_both_serve_what_either_was_told_at_once(servers: list[RunningServer]) -> None:
    for number in range(6):
        save_mean(servers[number % 2], "SOLUSDT", number / 8)
        tags = set()
        for server in servers:
            assert _mean(server) == number / 8
            tags.add(http.get(server.url + "/api/models/m/model/SOLUSDT").headers["ETag"])
        assert len(tags) == 1
    history = [server.url + "/api/models/m/symbols/SOLUSDT/factor-config" for server in servers]
    assert len({http.get(url).content for url in history}) == 1


def test_both_tell_of_changes_that_either_made(servers: list[RunningServer]) -> None:
    for number in range(2):
        since = [_changes(server, 0)["revision"] for server in servers]
        wait_until(lambda: len({_changes(server, 0)["revision"] for server in servers}) == 1)
        told: list[dict[str, Any]] = []
        waiters = [
            threading.Thread(target=lambda server=server, at=at, told=told: told.append(_changes(server, at, 20)))
            for server, at in zip(servers, since, strict=True)
        ]
        for waiter in waiters:
            waiter.start()
        save_mean(servers[number % 2], "SOLUSDT", 10 + number / 8)
        for waiter in waiters:
            waiter.join(25)
        assert [document["symbols"] for document in told] == [["SOLUSDT"]] * 2


def test_writers_at_both_lose_no_update(servers: list[RunningServer]) -> None:
    revisions: list[int] = []

    def save(server: RunningServer, first: float) -> None:
        url = f"{server.url}/api/models/m/symbols/SOLUSDT/factor-config"
        for number in range(15):
            answer = http.put(url, json=config_of(first + number), timeout=30)
            assert answer.status_code == 200, answer.text
            revisions.append(number)

    writers = [threading.Thread(target=save, args=(server, 100.0 * (1 + at))) for at, server in enumerate(servers)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    manifests = [http.get(server.url + "/api/models/m/manifest").json()["items"] for server in servers]
    assert len(revisions) == 30
    for items in manifests:
        assert {item["symbol"]: item["config_revision"] for item in items} == {"BTCUSDT": 1, "SOLUSDT": 31}


@pytest.mark.parametrize("servers", ["2"], ids=["two workers each"], indirect=True)
def test_the_second_says_who_publishes_and_takes_over_when_the_first_is_killed(servers: list[RunningServer]) -> None:
    first, second = servers
    assert "publishing" in _log(first)
    assert "another_process_publishes" in _log(second)
    assert "publishing" not in _log(second)
    since = _changes(second, 0)["revision"]
    children = subprocess.run(["pgrep", "-P", str(first.process.pid)], capture_output=True, text=True).stdout.split()
    assert len(children) >= 2
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    save_mean(second, "SOLUSDT", 7.5)
    assert _mean(second) == 7.5
    wait_until(lambda: "publishing" in _log(second))
    wait_until_published(second)
    assert _changes(second, since)["symbols"] == ["SOLUSDT"], "what did not change is not told of"
    assert second.stop() == 0
    for child in children:
        wait_until(lambda child=child: not Path(f"/proc/{child}").exists())


def test_after_a_take_over_no_note_of_before_is_trusted(start_server: Start, servers: list[RunningServer]) -> None:
    """A commit that the first one had no time to look at must not be served from its notes."""
    first, second = servers
    first.process.send_signal(signal.SIGSTOP)
    try:
        save_mean(second, "SOLUSDT", 3.25)
        assert _mean(second) == 3.25
    finally:
        first.process.kill()
        first.process.wait()
    wait_until(lambda: "publishing" in _log(second))
    wait_until_published(second)
    for _ in range(4):
        assert _mean(second) == 3.25
        assert _mean(second, "BTCUSDT") == 0.2
