"""Real servers under attack, and a bot beside them that must not notice."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import RunningServer, servers_below, wait_until_published
from tests.attacks.bystander import Bystander
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

    @property
    def url(self) -> str:
        return self.server.url


@contextlib.contextmanager
def target_below(place: Path, booster_json: bytes, **settings: str) -> Iterator[Target]:
    """Serve a published model from below ``place``; keyword arguments are settings without their prefix."""
    token = settings.get("WRITE_TOKEN")
    root = write_group_below(place / "root", booster_json, "SOLUSDT_mid_chg_1m")
    with servers_below(place) as start:
        server = start(**{"WATCH_ENABLED": "0", "ARTIFACT_ROOTS": str(place), **settings})
        workers = int(settings.get("WORKERS", "1"))
        wait_until(lambda: httpx.get(server.url + "/api/health").json()["workers"] == workers)
        register(server.url, root, token)
        wait_until_published(server)
        answer = httpx.get(server.url + PAYLOAD, headers={"Accept-Encoding": "identity"})
        assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
        yield Target(server, root, answer.content)


def register(url: str, root: Path, token: str | None = None, model_name: str = "m") -> None:
    """Register a root."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {"model_name": model_name, "root_path": str(root)}
    assert httpx.post(url + "/api/models", json=body, headers=headers, timeout=60).status_code == 200


@pytest.fixture(scope="module", params=DOORS.values(), ids=DOORS.keys())
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, booster_json: bytes
) -> Iterator[Target]:
    """A server with the settings that the module names as ``SETTINGS``, pulled from throughout without a failure."""
    settings: dict[str, str] = getattr(request.module, "SETTINGS", {})
    place = tmp_path_factory.mktemp("target")
    with target_below(place, booster_json, WORKERS=request.param, **settings) as found:
        with Bystander(found.url, PAYLOAD, found.body) as bystander:
            yield found
        told = bystander.told()
        print(f"\n{request.node.nodeid or request.module.__name__} {request.param}: {told}")
        assert told.failures == ()
        assert told.pulls > 0
        assert "Traceback" not in found.server.log.read_text()


@pytest.fixture
def asked_again(target: Target) -> Iterator[Callable[[], None]]:
    """Check that the server answers; done once more after the test."""

    def check() -> None:
        assert httpx.get(target.url + PAYLOAD, headers={"Accept-Encoding": "identity"}).content == target.body

    yield check
    check()
