"""Clients of a scripted server on a free port of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mm_core.client import PayloadClient
from tests.client.model_serving import ModelServer
from tests.client.serving import ScriptedServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = ScriptedServer()
    yield running
    running.stop()


@pytest.fixture
def serve_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModelServer]]:
    """Start servers that have model ``m`` with the given symbols."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running: list[ModelServer] = []

    def serve(*symbols: str) -> ModelServer:
        running.append(ModelServer(*symbols))
        return running[-1]

    yield serve
    for server in running:
        server.stop()


@pytest.fixture
def waits() -> list[float]:
    """What clients of `connect` and `connect_to` would have slept."""
    return []


@pytest.fixture
def connect_to(tmp_path: Path, waits: list[float]) -> Iterator[Callable[..., PayloadClient]]:
    opened: list[PayloadClient] = []

    def make(server: ScriptedServer, **options: Any) -> PayloadClient:
        opened.append(PayloadClient(server.url, tmp_path / "cache", sleep=waits.append, **options))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def connect(server: ScriptedServer, connect_to: Callable[..., PayloadClient]) -> Callable[..., PayloadClient]:
    return lambda **options: connect_to(server, **options)


@pytest.fixture
def client(connect: Callable[..., PayloadClient]) -> PayloadClient:
    return connect()
