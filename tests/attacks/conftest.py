"""Real servers under attack, and a bot beside them that must not notice."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.api.conftest import RunningServer, register, servers_below, wait_until_published
from tests.api.nginx import nginx_before
from tests.asking import http
from tests.attacks.booster_loader import Loader
from tests.attacks.bystander import Bystander
from tests.attacks.hostile_models import sound_models
from tests.conftest import write_group_below
from tests.waiting import wait_until

PAYLOAD = "/api/models/m/model/SOLUSDT"
DOORS = {"one process": "1", "two workers": "2"}


@dataclass(frozen=True)
class Target:
    """A server that serves model ``m``, whose artifacts lie below ``root``."""

    server: RunningServer
    root: Path
    body: bytes
    bystander: Bystander

    @property
    def url(self) -> str:
        return self.server.url

    def processes(self) -> list[psutil.Process]:
        """Return the server's processes: it and its workers."""
        first = psutil.Process(self.server.process.pid)
        return [first, *first.children()]

    def memory_bytes(self) -> int:
        """Return what all its processes hold in memory."""
        return sum(process.memory_info().rss for process in self.processes())

    def connections(self) -> int:
        """Return how many connections clients hold to it."""
        port = int(self.url.rsplit(":", 1)[1])
        return sum(
            connection.laddr.port == port and connection.status != psutil.CONN_LISTEN
            for process in self.processes()
            for connection in process.net_connections("tcp")
        )

    def request_lines(self) -> list[dict[str, Any]]:
        """Return what it logged of its requests."""
        lines = map(json.loads, self.server.log.read_text().splitlines())
        return [line for line in lines if line["event"] == "request"]


SLOWEST_SECONDS = 3.0
"""Of a pull beside any attack: other tests run on the same processors."""


@contextlib.contextmanager
def target_below(
    place: Path, booster_json: bytes, *, slowest_seconds: float = SLOWEST_SECONDS, **settings: str
) -> Iterator[Target]:
    """Serve a published model from below ``place``, and pull it throughout: no pull fails, none is slower than told.

    Keyword arguments are settings without their prefix.
    """
    token = settings.get("WRITE_TOKEN")
    root = write_group_below(place / "root", booster_json, "SOLUSDT_mid_chg_1m")
    with servers_below(place) as start:
        server = start(**{"WATCH_ENABLED": "0", "ARTIFACT_ROOTS": str(place), **settings})
        workers = int(settings.get("WORKERS", "1"))
        wait_until(lambda: http.get(server.url + "/api/health").json()["workers"] == workers)
        register(server, root, token=token)
        wait_until_published(server)
        answer = http.get(server.url + PAYLOAD, headers={"Accept-Encoding": "identity"})
        assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
        with Bystander(server.url, PAYLOAD, answer.content) as bystander:
            wait_until(lambda: bystander.told().pulls > 0)
            yield Target(server, root, answer.content, bystander)
        told = bystander.told()
        print(f"\n{place.name}, workers {workers}: {told}")
        assert told.failures == ()
        assert told.slowest_of_all_seconds < slowest_seconds
        assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    """Sound models of every kind."""
    return sound_models()


@pytest.fixture(scope="module")
def loader() -> Iterator[Loader]:
    """XGBoost in a process that may die of what it loads."""
    with Loader() as loader:
        yield loader


@pytest.fixture(scope="module", params=DOORS.values(), ids=DOORS.keys())
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, booster_json: bytes
) -> Iterator[Target]:
    """A server with the settings that the module names as ``SETTINGS``."""
    settings: dict[str, str] = getattr(request.module, "SETTINGS", {})
    place = tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2])
    with target_below(place, booster_json, WORKERS=request.param, **settings) as found:
        yield found


@pytest.fixture
def front(target: Target, tmp_path: Path) -> Iterator[str]:
    """The address of nginx in front of the server, with deploy/nginx.conf."""
    with nginx_before(target.url, target.server.log.parent / "data", tmp_path) as url:
        yield url


@pytest.fixture
def asked_again(target: Target) -> Iterator[Callable[[], None]]:
    """Check that the server answers; done once more after the test."""

    def check() -> None:
        assert http.get(target.url + PAYLOAD, headers={"Accept-Encoding": "identity"}).content == target.body

    yield check
    check()
