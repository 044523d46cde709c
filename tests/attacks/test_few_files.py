"""More connections than files may be open: nothing spins, nothing floods the log, and who waits is served."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mm_core.api.listening import CONNECTIONS
from mm_core.api.process import OPEN_FILES, connections_that_fit
from tests.api.conftest import RunningServer, servers_below
from tests.attacks.raw_http import ask, connect, request

FILES = 256
SETTINGS = {"WATCH_ENABLED": "0", "REQUEST_SECONDS": "3"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start real servers."""
    with servers_below(tmp_path) as start:
        yield start


@contextlib.contextmanager
def _silent(server: RunningServer, count: int) -> Iterator[None]:
    """Hold so many connections that ask nothing, and check what the first two seconds of them cost."""
    with contextlib.ExitStack() as held:
        process = psutil.Process(server.process.pid)
        size, busy = server.log.stat().st_size, sum(process.cpu_times()[:2])
        for _ in range(count):
            held.enter_context(connect(server.url))
        time.sleep(2)
        assert sum(process.cpu_times()[:2]) - busy < 0.7
        assert server.log.stat().st_size - size < 2000
        yield


def _check_served(server: RunningServer) -> None:
    with connect(server.url, seconds=15) as bot:
        assert ask(bot, request("/api/models")).status == 200


def test_a_server_that_may_open_few_files_takes_no_more_connections_than_they_allow(
    start: Callable[..., RunningServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -n {FILES}\nexec "{sys.executable}" "$@"\n')
    limited.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(limited))
    server = start(**SETTINGS)
    with _silent(server, FILES + 50):
        assert psutil.Process(server.process.pid).num_fds() < FILES - 50, "room for what requests open"
    _check_served(server)
    assert "few_open_files" in server.log.read_text()


def test_files_that_run_out_cost_a_look_a_second(start: Callable[..., RunningServer]) -> None:
    server = start(**SETTINGS)
    process = psutil.Process(server.process.pid)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 20, FILES))
    with _silent(server, 60):
        assert "no_room_for_connections" in server.log.read_text()
        process.rlimit(psutil.RLIMIT_NOFILE, (FILES, FILES))
        _check_served(server)


@pytest.mark.parametrize(
    ("files", "connections"), [(64, 10), (256, 42), (1024, 170), (4096, 1032), (OPEN_FILES, CONNECTIONS)]
)
def test_connections_are_as_many_as_files_allow(files: int, connections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert connections_that_fit(CONNECTIONS) == connections
