"""A scan that is not on disk, or damaged: bots are asked to come back, never told that a model is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.client import PayloadClient
from mm_core.registry import Registry
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.api.answers import json_of
from tests.api.conftest import RunningServer
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version
from tests.processes import free_port
from tests.registry.test_lifecycle import FIELDS, NAME
from tests.store.test_repairs import HARMS
from tests.waiting import wait_until

__all__ = ["lightgbm_booster", "write_version"]

OF_A_MODEL = (
    "manifest", "symbols", "factors", "symbols/SOLUSDT", "model/SOLUSDT", "model_onnx/SOLUSDT",
    "symbols/SOLUSDT/factor-config",
)  # fmt: skip


def _harm(settings: Settings, file: str, harm: str) -> None:
    paths = [*(settings.data_dir / "scans").rglob(f"{file}-*")]
    assert paths
    for path in paths:
        HARMS[harm](path)


def _started(settings: Settings) -> tuple[Registry, Client]:
    registry = open_registry(settings)
    return registry, Client(create_app(registry, settings))


@pytest.mark.parametrize("harm", ["cut", "newer", "gone"])
@pytest.mark.parametrize("file", ["index", "shard"])
def test_bots_are_asked_to_come_back_until_the_root_is_read_again(
    served: Client, settings: Settings, model_root: Path, file: str, harm: str
) -> None:
    before = json_of(served.get("/api/models/m/model/SOLUSDT"))["payload"]
    _harm(settings, file, harm)
    registry, client = _started(settings)
    for path in OF_A_MODEL:
        answer = client.get(f"/api/models/m/{path}")
        assert answer.headers["Retry-After"] == "1", path
        assert str(model_root) in json_of(answer, 503)["detail"]
    (listed,) = json_of(client.get("/api/models"))["items"]
    assert (listed["model_name"], listed["symbol_count"]) == ("m", 0)
    assert registry.registrations.restore_missing_scans() == ()
    after = json_of(client.get("/api/models/m/model/SOLUSDT"))["payload"]
    assert (after["model_json"], after["factor_config"]) == (before["model_json"], before["factor_config"])


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_versions_are_neither_gone_nor_deployed_nor_registered_while_nobody_knows(
    client: Client, registry: Registry, settings: Settings, write_version: WriteVersion, harm: str
) -> None:
    write_version("v1.0.0")
    registry.registrations.register("models", str(write_version("v1.1.0")))
    for version, status in (("v1.1.0", "deployed"), ("v1.0.0", "validated")):
        fields = {**FIELDS, "model_version": version, "status": status, "note": "because"}
        json_of(client.post("/api/versions", json=fields))
    _harm(settings, "index", harm)
    again, served = _started(settings)
    version = f"/api/models/{NAME}/versions/v1.1.0"
    for path in (version, f"{version}/model", f"{version}/normalizer", "/api/models/models/versions/v1.1.0/model"):
        assert served.get(path).status_code == 503, path
    assert served.post(f"{version}/predict", json={"rows": [{}]}).status_code == 503
    move = {"status": "deployed", "note": "because"}
    assert served.post(f"/api/models/{NAME}/versions/v1.0.0/status", json=move).status_code == 503
    assert json_of(served.get(f"/api/models/{NAME}/deployed"))["model_version"] == "v1.1.0"
    assert again.registrations.restore_missing_scans() == ()
    assert served.get(f"{version}/model").status_code == 200
    json_of(served.post(f"/api/models/{NAME}/versions/v1.0.0/status", json=move))


def test_a_bot_keeps_its_copies_while_the_root_is_away_and_goes_on_when_it_is_back(
    start_server: Callable[..., RunningServer], registry: Registry, settings: Settings, model_root: Path, tmp_path: Path
) -> None:
    registry.registrations.register("m", str(model_root))
    port = str(free_port())
    server = start_server(HTTP_PORT=port)
    with PayloadClient(f"http://127.0.0.1:{port}", tmp_path / "copies", attempts=1) as bot:
        assert "SOLUSDT" in bot.sync("m").changed
        before = bot.local("m", "SOLUSDT")
        assert server.stop() == 0
        _harm(settings, "index", "gone")
        model_root.rename(tmp_path / "away")
        start_server(HTTP_PORT=port)
        synced = bot.sync("m")
        assert (synced.withdrawn, synced.stale) == ((), True)
        payload = bot.get("m", "SOLUSDT")
        assert (payload.stale, payload.etag) == (True, before.etag)
        (tmp_path / "away").rename(model_root)
        wait_until(lambda: not bot.get("m", "SOLUSDT").stale)
        assert bot.get("m", "SOLUSDT").model_json == before.model_json
