"""The application without a socket, and the real server with one."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.registry import Registry
from mm_core.settings import Settings
from tests.asking import http
from tests.processes import environment_with, free_port

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def client(registry: Registry, settings: Settings) -> Client:
    """The application on an empty registry."""
    return Client(create_app(registry, settings))


@pytest.fixture
def large_root(write_group: Callable[..., Path], booster_json: bytes) -> Path:
    """A root whose one model has 16 MiB: no socket takes its answer at once."""
    document = json.loads(booster_json)
    document["learner"]["attributes"] = {"padding": "x" * (16 << 20)}
    return write_group("BIG_r", model_json=json.dumps(document).encode())


@pytest.fixture
def served(client: Client, model_root: Path) -> Client:
    """The application with model ``m`` registered."""
    answer = client.post("/api/models", json={"model_name": "m", "root_path": str(model_root)})
    assert answer.status_code == 200, answer.text
    return client


@dataclass
class RunningServer:
    """A payload server process on a free port of this machine."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def wait_until_it_answers(self, seconds: float = 20.0) -> None:
        """Wait for the first answer; fail with the log when there is none in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                http.get(self.url + "/api/health")
                return
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start real servers; keyword arguments are settings without their prefix."""
    with servers_below(tmp_path) as start:
        yield start


@contextlib.contextmanager
def servers_below(place: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start real servers that keep state and logs below ``place``, and end them; see `start_server`."""
    running: list[RunningServer] = []

    def start(**settings: str) -> RunningServer:
        server = launched(place, [sys.executable, str(PROJECT / "payload_server.py")], place, **settings)
        running.append(server)
        server.wait_until_it_answers()
        return server

    try:
        yield start
    finally:
        for server in running:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()


def launched(place: Path, command: Sequence[str], directory: Path, **settings: str) -> RunningServer:
    """Run a server in ``directory`` that keeps state and log below ``place``; it may not answer yet."""
    port = settings.get("HTTP_PORT") or str(free_port())
    usual = {
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": port,
        "DATA_DIR": str(place / "data"),
        "WATCH_DEBOUNCE": "0.2",
    }
    log = place / f"server-{port}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, env=environment_with(**usual | settings), cwd=directory, stdout=output, stderr=subprocess.STDOUT
        )
    return RunningServer(process, f"http://127.0.0.1:{port}", log)


def register(server: RunningServer, root: Path, model_name: str = "m", token: str | None = None) -> None:
    """Register a root over HTTP."""
    headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
    body = {"model_name": model_name, "root_path": str(root)}
    answer = http.post(server.url + "/api/models", json=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def wait_until_published(server: RunningServer, model_name: str = "m", seconds: float = 20.0) -> None:
    """Wait until every payload of a model is ready at the newest revision."""
    deadline = time.monotonic() + seconds
    while True:
        items = http.get(f"{server.url}/api/models/{model_name}/manifest").json()["items"]
        if all(item["etag"] for item in items if item["payload_ready"]):
            return
        assert time.monotonic() < deadline, items
        time.sleep(0.02)


def save_mean(server: RunningServer, symbol: str, mean: float) -> None:
    """Set the mean of the first factor of a symbol of model ``m``."""
    url = f"{server.url}/api/models/m/symbols/{symbol}/factor-config"
    document = http.get(url).json()
    document[symbol]["mean_values"][0] = mean
    assert http.put(url, json=document).status_code == 200
