"""More connections than bots have: up to the limit all are served, beyond it they wait, and idle ones make room."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import time
from collections.abc import Iterator

import pytest

from mm_core.api.listening import CONNECTIONS
from mm_core.api.patience import IDLE_SECONDS_WHEN_FULL
from tests.attacks.bystander import Bystander
from tests.attacks.conftest import DOORS, PAYLOAD, Target, target_below
from tests.attacks.raw_http import ask, connect, request, reset
from tests.waiting import wait_until

HEAD = request(PAYLOAD, "HEAD", Accept_Encoding="gzip")
"""As bots ask; uncompressed payloads are the owner's to answer where there are workers, a process more for each."""


@pytest.fixture(scope="module")
def many_files() -> Iterator[None]:
    """Let this process open as many files as the attack needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 3 * CONNECTIONS)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module", params=DOORS.values(), ids=DOORS.keys())
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, booster_json: bytes, many_files: None
) -> Iterator[Target]:
    """A server whose bystander stops before the attack: it would have to wait with the others."""
    with target_below(
        tmp_path_factory.mktemp("many"), booster_json, slowest_seconds=20, WORKERS=request.param
    ) as found:
        found.bystander.stop()
        yield found


def _open(target: Target, count: int) -> list[socket.socket]:
    return [connect(target.url) for _ in range(count)]


def _answered(connections: list[socket.socket], seconds: float) -> int:
    """Send a request on every connection; return how many are answered in ``seconds``."""
    for connection in connections:
        connection.sendall(HEAD)
    poll, waiting = select.poll(), {connection.fileno() for connection in connections}
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + seconds
    while waiting and time.monotonic() < deadline:
        for descriptor, _ in poll.poll(100):
            poll.unregister(descriptor)
            waiting.discard(descriptor)
    answered = 0
    for connection in connections:
        if connection.fileno() not in waiting:
            answered += connection.recv(4096).startswith(b"HTTP/1.1 200")
    return answered


def test_2000_connections_are_served_and_beyond_the_limit_idle_ones_make_room(target: Target) -> None:
    workers = len(target.processes()) - 1 or 1
    with contextlib.ExitStack() as stack, Bystander(target.url, PAYLOAD, target.body, keeps=True) as bystander:
        wait_until(lambda: bystander.told().pulls > 2)
        first = _open(target, 2000)
        stack.callback(lambda: [reset(connection) for connection in first])
        assert _answered(first, 20) == 2000
        more = _open(target, (CONNECTIONS + 500) * workers - len(first))
        stack.callback(lambda: [reset(connection) for connection in more])
        began = time.monotonic()
        assert _answered(more, 4 * IDLE_SECONDS_WHEN_FULL) == len(more)
        seconds = time.monotonic() - began
        print(f"\n{len(first) + len(more)} connections: all answered after {seconds:.1f} s")
        assert seconds > 1, "the last ones waited for the room of idle ones"
        told = bystander.told()
    print(f"\nbeside them, on a connection of its own: {told}")
    assert told.failures == ()
    assert told.slowest_seconds < 5, "the attackers share this machine"
    began = time.monotonic()
    with connect(target.url) as after:
        assert ask(after, HEAD, "HEAD").status == 200
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("target", [DOORS["one process"]], ids=["one process"], indirect=True)
def test_connections_that_never_spoke_make_room_too(target: Target) -> None:
    silent = _open(target, CONNECTIONS + 200)
    try:
        with connect(target.url, seconds=4 * IDLE_SECONDS_WHEN_FULL) as bot:
            assert ask(bot, HEAD, "HEAD").status == 200
    finally:
        for connection in silent:
            reset(connection)
