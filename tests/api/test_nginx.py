"""The documented nginx configuration with a real nginx: the same answers, from files where they are ready."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import RunningServer, register, wait_until_published
from tests.api.nginx import nginx_before
from tests.asking import http

PAYLOAD = "/api/models/m/model/SOLUSDT"
PER_ANSWER = {"date", "server", "connection", "x-request-id", "accept-ranges", "last-modified"}


@pytest.fixture
def server(start_server: Callable[..., RunningServer], model_root: Path) -> RunningServer:
    """A payload server with a published model."""
    server = start_server(WATCH_ENABLED="0")
    register(server, model_root)
    wait_until_published(server)
    return server


@pytest.fixture
def front(server: RunningServer, tmp_path: Path) -> Iterator[str]:
    """The address of nginx in front of it, with deploy/nginx.conf."""
    with nginx_before(server.url, tmp_path / "data", tmp_path) as url:
        yield url


def _headers(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in PER_ANSWER}


def _same(
    front: str, server: RunningServer, path: str = PAYLOAD, method: str = "GET", **headers: str
) -> httpx.Response:
    """Ask both; return nginx's answer when it is that of the payload server."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    through, direct = (http.request(method, base + path, headers=named) for base in (front, server.url))
    assert (through.status_code, through.content) == (direct.status_code, direct.content)
    assert _headers(through) == _headers(direct)
    return through


def _is_from_a_file(answer: httpx.Response) -> bool:
    return "x-request-id" not in answer.headers


def test_a_ready_payload_is_handed_out_by_nginx_with_the_servers_own_headers(front: str, server: RunningServer) -> None:
    for method in ("GET", "HEAD"):
        for accepted in ("gzip", "gzip, deflate", "gzip,br"):
            answer = _same(front, server, method=method, Accept_Encoding=accepted)
            assert _is_from_a_file(answer)
            assert answer.headers["ETag"].endswith('-gz"')


def test_a_bot_that_has_it_gets_304(front: str, server: RunningServer) -> None:
    tag = http.get(front + PAYLOAD, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    again = _same(front, server, Accept_Encoding="gzip", If_None_Match=tag)
    assert (again.status_code, again.content) == (304, b"")
    other = _same(front, server, Accept_Encoding="gzip", If_None_Match=tag.replace("-gz", "-zst"))
    assert other.status_code == 200


@pytest.mark.parametrize("accepted", ["", "identity", "zstd", "br", "gzip;q=0", "gzip;q=0.5, zstd", "x-gzip"])
def test_other_codings_come_from_the_payload_server(front: str, server: RunningServer, accepted: str) -> None:
    answer = _same(front, server, Accept_Encoding=accepted)
    assert not _is_from_a_file(answer)
    tag = http.get(front + PAYLOAD, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    assert _same(front, server, Accept_Encoding=accepted, If_None_Match=tag).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/models/m/model/solusdt", "/api/models/m/model/none", "/api/models/none/model/SOLUSDT",
        f"{PAYLOAD}?group_key=SOLUSDT_mid_chg_1m", "/api/models/m/model/..%2F..", "/api/models/..%2Fm/model/SOLUSDT",
        "/api/models/m/symbols", "/nothing",
    ],
)  # fmt: skip
def test_everything_else_is_answered_by_the_payload_server(front: str, server: RunningServer, path: str) -> None:
    for condition in ('"x"', "none", "no file", ""):
        through = http.get(front + path, headers={"If-None-Match": condition, "Accept-Encoding": "gzip"})
        direct = http.get(server.url + path, headers={"If-None-Match": condition, "Accept-Encoding": "gzip"})
        assert through.status_code == direct.status_code, (path, condition)
        assert not _is_from_a_file(through)


def test_what_was_saved_reaches_the_files_at_once(front: str) -> None:
    config = front + "/api/models/m/symbols/SOLUSDT/factor-config"
    document = http.get(config).json()
    for number in range(15):
        document["SOLUSDT"]["mean_values"][0] = float(number)
        assert http.put(config, json=document).status_code == 200
        deadline = time.monotonic() + 5
        while True:  # nginx does not ask the store: a file may be older for as long as the publisher's pause
            pulled = http.get(front + PAYLOAD, headers={"Accept-Encoding": "gzip"})
            if pulled.json()["payload"]["factor_config"]["SOLUSDT"]["mean_values"][0] == number:
                break
            assert time.monotonic() < deadline
    while not _is_from_a_file(http.get(front + PAYLOAD, headers={"Accept-Encoding": "gzip"})):
        assert time.monotonic() < deadline


def test_a_symbol_that_is_corrected_or_spelled_otherwise_is_handed_out_as_it_is_called_now(
    front: str, server: RunningServer, model_root: Path
) -> None:
    old = "SOLUSDT"
    for new in ("XRPUSDT", "XrpUsdt", "xrpusdt"):
        (model_root / "SOLUSDT_mid_chg_1m_info.pkl").write_bytes(pickle.dumps({"symbol": new}))
        assert http.post(server.url + "/api/models/m/refresh").status_code == 200
        wait_until_published(server)
        assert _is_from_a_file(_same(front, server, f"/api/models/m/model/{new}", Accept_Encoding="gzip"))
        former = http.get(f"{front}/api/models/m/model/{old}", headers={"Accept-Encoding": "gzip"})
        assert not _is_from_a_file(former)
        if old.casefold() == new.casefold():
            assert former.json()["payload"]["metadata"]["symbol"] == new
        else:
            assert former.status_code == 404
        old = new
