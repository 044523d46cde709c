"""Keeping a model current against real payload server processes."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mm_core.client import PayloadClient, PayloadNotFound, ServerAway, Synced
from tests.api.conftest import RunningServer, register, save_mean, start_server, wait_until_published
from tests.asking import http
from tests.waiting import wait_until

__all__ = ["start_server"]


@pytest.fixture(params=["1", "2"], ids=["one process", "two workers"])
def server(
    request: pytest.FixtureRequest,
    start_server: Callable[..., RunningServer],
    model_root: Path,
    write_group: Callable[..., Path],
) -> RunningServer:
    """A server with three whole groups and one that bots cannot be given."""
    write_group("ADAUSDT_mid_chg_1m")
    write_group("ETHUSDT_mid_chg_1m", model_json=None)
    server = start_server(WORKERS=request.param, WATCH_ENABLED="0", THREADS="4")
    register(server, model_root)
    wait_until_published(server)
    return server


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that clients of this process ask for."""
    paths: list[str] = []
    send = httpx.Client.send

    def note(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        paths.append(request.url.path.removeprefix("/api/models/m/"))
        return send(client, request, **options)

    monkeypatch.setattr(httpx.Client, "send", note)
    return paths


@pytest.fixture
def client(server: RunningServer, tmp_path: Path) -> Iterator[PayloadClient]:
    with PayloadClient(server.url, tmp_path / "cache") as client:
        yield client


READY = ("ADAUSDT", "BTCUSDT", "SOLUSDT")


def test_only_what_changed_is_asked_for(
    server: RunningServer, client: PayloadClient, asked: list[str], tmp_path: Path
) -> None:
    first = client.sync("m")
    assert (first.changed, list(first.failed)) == (READY, ["ETHUSDT"])
    assert sorted(asked) == ["manifest", *(f"model/{symbol}" for symbol in READY)]
    asked.clear()
    assert client.sync("m").unchanged == READY
    with PayloadClient(server.url, tmp_path / "cache") as restarted:
        assert restarted.sync("m").unchanged == READY
    assert asked == ["manifest", "manifest"]
    save_mean(server, "SOLUSDT", 7.0)
    wait_until_published(server)
    asked.clear()
    assert client.sync("m").changed == ("SOLUSDT",)
    assert asked == ["manifest", "model/SOLUSDT"]
    assert client.local("m", "SOLUSDT").mean_values[0] == 7.0
    assert client.local("m", "SOLUSDT").etag == client.get("m", "SOLUSDT").etag


def test_a_waiting_bot_has_a_change_at_once(server: RunningServer, client: PayloadClient, asked: list[str]) -> None:
    client.sync("m", wait=25)
    asked.clear()
    found: list[Synced] = []
    waiter = threading.Thread(target=lambda: found.append(client.sync("m", wait=60)))
    waiter.start()
    wait_until(lambda: asked == ["changes"])
    save_mean(server, "SOLUSDT", 7.0)
    waiter.join(20)
    assert [synced.changed for synced in found] == [("SOLUSDT",)]
    assert client.local("m", "SOLUSDT").mean_values[0] == 7.0


def test_a_quiet_wait_costs_two_requests(server: RunningServer, client: PayloadClient, asked: list[str]) -> None:
    client.sync("m")
    asked.clear()
    assert client.sync("m", wait=2).unchanged == READY
    assert asked == ["changes", "manifest"]


def test_symbols_and_models_that_go_are_withdrawn_for_good(
    server: RunningServer, client: PayloadClient, model_root: Path
) -> None:
    client.sync("m")
    for file in model_root.glob("SOLUSDT_*"):
        file.unlink()
    assert http.post(server.url + "/api/models/m/refresh").status_code == 200
    assert client.sync("m").withdrawn == ("SOLUSDT",)
    server.stop()
    synced = client.sync("m")
    assert (synced.stale, synced.unchanged) == (True, ("ADAUSDT", "BTCUSDT"))
    with pytest.raises(ServerAway):
        client.get("m", "SOLUSDT")


def test_a_symbol_that_is_corrected_is_withdrawn_and_the_right_one_is_pulled_also_by_a_bot_that_waits(
    server: RunningServer, client: PayloadClient, model_root: Path
) -> None:
    client.sync("m")
    found: list[Synced] = []
    waiter = threading.Thread(target=lambda: found.append(client.sync("m", wait=60)))
    waiter.start()
    (model_root / "SOLUSDT_mid_chg_1m_info.pkl").write_bytes(pickle.dumps({"symbol": "XRPUSDT"}))
    assert http.post(server.url + "/api/models/m/refresh").status_code == 200
    waiter.join(20)
    assert [(synced.changed, synced.withdrawn) for synced in found] == [(("XRPUSDT",), ("SOLUSDT",))]
    for number in range(3):
        save_mean(server, "XRPUSDT", float(number))
        wait_until_published(server)
        assert client.get("m", "xrpusdt").mean_values[0] == number
        with pytest.raises(PayloadNotFound, match="SOLUSDT"):
            client.get("m", "SOLUSDT")


def test_a_model_that_is_deleted_leaves_no_copies(server: RunningServer, client: PayloadClient, tmp_path: Path) -> None:
    client.sync("m")
    assert http.delete(server.url + "/api/models/m").status_code == 200
    with pytest.raises(PayloadNotFound, match="m"):
        client.sync("m", wait=20)
    assert list((tmp_path / "cache").iterdir()) == []
