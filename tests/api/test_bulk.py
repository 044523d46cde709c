"""The manifest and the changes, over a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.conftest import RunningServer, register, save_mean, servers_below, wait_until_published
from tests.asking import http
from tests.conftest import write_group_below

Start = Callable[..., RunningServer]


def _served(start: Start, root: Path, booster_json: bytes, workers: str) -> RunningServer:
    """Serve two whole groups and one that bots cannot be given."""
    write_group_below(root, booster_json, "BTCUSDT_mid_chg_1m")
    write_group_below(root, booster_json, "ETHUSDT_mid_chg_1m", model_json=None)
    write_group_below(root, booster_json, "SOLUSDT_mid_chg_1m")
    server = start(WORKERS=workers, WATCH_ENABLED="0", THREADS="4")
    register(server, root)
    wait_until_published(server)
    return server


@pytest.fixture(params=["1", "2"], ids=["one process", "two workers"])
def server(request: pytest.FixtureRequest, start_server: Start, tmp_path: Path, booster_json: bytes) -> RunningServer:
    """A server of a test's own."""
    return _served(start_server, tmp_path / "root", booster_json, request.param)


@pytest.fixture(scope="module", params=["1", "2"], ids=["one process", "two workers"])
def standing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, booster_json: bytes
) -> Iterator[RunningServer]:
    """A server that no test changes."""
    place = tmp_path_factory.mktemp("standing")
    with servers_below(place) as start:
        yield _served(start, place / "root", booster_json, request.param)


def test_the_manifest_names_what_a_pull_returns(standing: RunningServer) -> None:
    manifest = http.get(standing.url + "/api/models/m/manifest").json()
    assert manifest["model_name"] == "m"
    items = {item["symbol"]: item for item in manifest["items"]}
    assert list(items) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    for symbol in ("BTCUSDT", "SOLUSDT"):
        pulled = http.get(f"{standing.url}/api/models/m/model/{symbol}", headers={"Accept-Encoding": "identity"})
        assert items[symbol]["etag"] == pulled.headers["ETag"] == f'"{items[symbol]["sha256"]}"'
        assert items[symbol]["size_bytes"] == len(pulled.content)
        assert (items[symbol]["config_revision"], items[symbol]["payload_ready"]) == (1, True)
    assert items["ETHUSDT"] == {
        "symbol": "ETHUSDT", "group_key": "ETHUSDT_mid_chg_1m", "payload_ready": False, "etag": None, "sha256": None,
        "size_bytes": None, "config_revision": 1,
    }  # fmt: skip


def test_a_manifest_is_another_one_only_when_its_model_changed(server: RunningServer, tmp_path: Path) -> None:
    url = server.url + "/api/models/m/manifest"
    first = http.get(url)
    register(server, tmp_path / "root", "other")
    deadline = time.monotonic() + 10  # until the newer revision is published, what is ready is not known
    while http.get(url, headers={"If-None-Match": first.headers["ETag"]}).status_code != 304:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    save_mean(server, "SOLUSDT", 7.0)
    wait_until_published(server)
    later = http.get(url, headers={"If-None-Match": first.headers["ETag"]})
    before = {item["symbol"]: item for item in first.json()["items"]}
    assert [item["symbol"] for item in later.json()["items"] if item != before[item["symbol"]]] == ["SOLUSDT"]


def test_a_waiting_bot_hears_of_a_change_while_others_are_served(server: RunningServer) -> None:
    revision = int(http.get(server.url + "/api/models/m/manifest").headers["x-store-revision"])
    url = f"{server.url}/api/models/m/changes"
    heard: list[tuple[float, httpx.Response]] = []

    def wait() -> None:
        answer = http.get(url, params={"since": revision, "wait": 20}, timeout=30)
        heard.append((time.monotonic(), answer))

    waiters = [threading.Thread(target=wait) for _ in range(6)]  # threads=4: two may wait
    for waiter in waiters:
        waiter.start()
    deadline = time.monotonic() + 10
    while len(heard) < 4:
        assert time.monotonic() < deadline
        started = time.monotonic()
        assert http.get(server.url + "/api/models").status_code == 200
        assert time.monotonic() - started < 2
    assert all(answer.headers["Retry-After"] == "5" and answer.json()["symbols"] == [] for _, answer in heard)
    saved = time.monotonic()
    save_mean(server, "SOLUSDT", 7.0)
    for waiter in waiters:
        waiter.join(10)
    told = [(at, answer) for at, answer in heard if "Retry-After" not in answer.headers]
    assert len(told) == 2
    for at, answer in told:
        assert at - saved < 2
        assert answer.json() == {"model_name": "m", "revision": revision + 1, "symbols": ["SOLUSDT"]}
    assert http.get(url, params={"since": revision + 1}).json()["symbols"] == []


def test_a_stop_does_not_wait_for_those_who_wait(server: RunningServer) -> None:
    revision = int(http.get(server.url + "/api/models/m/manifest").headers["x-store-revision"])
    address = urlsplit(server.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), 30) as waiter:
        asked = f"GET /api/models/m/changes?since={revision}&wait=25 HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n"
        waiter.sendall(asked.encode())
        time.sleep(0.3)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5
        assert waiter.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "query", ["since=x", "since=", "since=1&wait=", "since=-1", "wait=1.5", "since=" + "9" * 40, "wait=%C2%B2"]
)
def test_a_number_that_is_none_is_refused(standing: RunningServer, query: str) -> None:
    answer = http.get(f"{standing.url}/api/models/m/changes?{query}")
    assert (answer.status_code, "whole number" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize("path", ["changes?since=%FF", "symbols/SOLUSDT?group_key=%FF", "model/SOLUSDT?group_key=%FF"])
def test_a_query_that_is_no_text_is_refused_and_not_left_out(standing: RunningServer, path: str) -> None:
    answer = http.get(f"{standing.url}/api/models/m/{path}")
    assert (answer.status_code, "no text in UTF-8" in answer.json()["detail"]) == (400, True)


def test_an_unknown_model_has_neither(standing: RunningServer) -> None:
    for route in ("manifest", "changes"):
        assert http.get(f"{standing.url}/api/models/none/{route}").status_code == 404
