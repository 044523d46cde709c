"""Versions of one family that cannot be read: the others go on, and everybody is told which one it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from werkzeug.test import Client, TestResponse

from mm_core.api import create_app
from mm_core.domain.lifecycle import Tier
from mm_core.errors import StoreCorrupt
from mm_core.registry import Registry
from mm_core.registry.known_versions import versions_of
from mm_core.registry.lifecycle_changes import Author
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.api.answers import json_of
from tests.api.test_lifecycle import FIELDS
from tests.api.test_openapi import DOCUMENT
from tests.artifacts.versions.conftest import WriteVersion, lightgbm_booster, write_version
from tests.processes import environment_with

__all__ = ["lightgbm_booster", "write_version"]

REPAIR = "doctor --repair"


def is_described(schema: str, answer: TestResponse) -> None:
    """Check an answer against what the description of the interface says of it."""
    root = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    Draft202012Validator(root).validate(json_of(answer))


def _move(client: Client, version: str, status: str, name: str) -> TestResponse:
    body = {"status": status, "note": "because", "actor": "ann"}
    return client.post(f"/api/models/{name}/versions/{version}/status", json=body)


@pytest.fixture(params=["index", "shard"])
def damaged(
    client: Client, settings: Settings, registry: Registry, write_version: WriteVersion, request: pytest.FixtureRequest
) -> Registry:
    """``broken`` (also called ``other``) and ``sound`` of one root, both deployed; a file of the first is damaged."""
    for model in ("broken", "sound", "unregistered"):
        root = write_version("v1.0.0", model=model)
    registry.registrations.register("all", str(root))
    for model in ("broken", "sound"):
        fields = {**FIELDS, "model_name": model, "tier_requirement": "enterprise", "status": "validated"}
        json_of(client.post("/api/versions", json=fields))
        json_of(_move(client, "v1.0.0", "deployed", model))
    registry.lifecycle.set_alias("broken", "other", Author("ann"))
    for path in (settings.data_dir / "lifecycle" / "broken" / "current").glob(f"{request.param}-*.json"):
        path.write_bytes(b"{")
    return open_registry(settings)


@pytest.fixture
def served(damaged: Registry, settings: Settings) -> Client:
    """A server that begins on the damaged state."""
    return Client(create_app(damaged, settings))


def test_lists_have_the_other_families_and_name_the_damaged_one(served: Client) -> None:
    document = json_of(served.get("/api/versions"))
    is_described("VersionList", served.get("/api/versions"))
    assert [one["model_name"] for one in document["items"]] == ["sound"]
    (told,) = document["damaged"]
    assert told["model_name"] == "broken"
    assert REPAIR in told["detail"]
    items = {one["model_name"]: one for one in json_of(served.get("/api/models/all/versions"))["items"]}
    assert {name: one["payload_ready"] for name, one in items.items()} == {
        "broken": False, "sound": True, "unregistered": True
    }  # fmt: skip
    assert any(REPAIR in one for one in items["broken"]["warnings"])
    assert items["sound"]["record"]["status"] == "deployed"


def test_nobody_sees_by_the_damage_what_the_record_would_hide(damaged: Registry) -> None:
    seen = {one.held.family.name for one in versions_of(damaged.view(), "all", Tier.PREMIUM) if one.held is not None}
    assert seen == {"unregistered"}


def test_other_families_are_served_moved_and_asked_about_as_ever(served: Client, damaged: Registry) -> None:
    assert json_of(served.get("/api/models/sound/deployed"))["model_version"] == "v1.0.0"
    for model in ("sound", "unregistered"):
        assert served.get(f"/api/models/{model}/versions/v1.0.0/model").status_code == 200
    assert json_of(_move(served, "v1.0.0", "shadow", "sound"))["status"] == "shadow"
    assert [one.champion.model_name for one in damaged.lifecycle.ab_tests()] == []
    assert {one.family for one in damaged.versions()} == {"broken", "sound", "unregistered"}
    (told,) = [one for one in damaged.versions() if one.family == "broken"]
    assert [one.code for one in told.findings] == ["registration-damaged"]
    assert json_of(served.get("/api/health"))["damaged_families"] == ["broken"]
    is_described("Health", served.get("/api/health"))


@pytest.mark.parametrize("name", ["broken", "other"])
def test_the_damaged_family_is_never_said_to_be_gone_by_any_of_its_names(served: Client, name: str) -> None:
    for path in ("deployed", "history", "deployed-at?time=2026-04-03T14:30:00Z"):
        answer = served.get(f"/api/models/{name}/{path}")
        assert answer.status_code == 500 or path != "deployed"  # events tell it, whole as they are
        assert answer.status_code == 200 or REPAIR in json_of(answer, 500)["detail"]
    assert served.get(f"/api/models/{name}/versions/v9.9.9/model").status_code == 500


def test_nothing_is_registered_or_removed_that_the_damaged_family_may_have(damaged: Registry, tmp_path: Path) -> None:
    with pytest.raises(StoreCorrupt, match="broken"):
        damaged.lifecycle.reason_to_keep(tmp_path / "v1.0.0")
    with pytest.raises(StoreCorrupt, match="broken"):
        damaged.verifier.verify_all()


def test_the_command_lists_the_others_and_warns_of_the_damaged_one(damaged: Registry, settings: Settings) -> None:
    for command, code in ((["lifecycle", "list"], 0), (["doctor"], 1)):
        done = subprocess.run(
            [sys.executable, "-m", "mm_core", *command],
            env=environment_with(DATA_DIR=str(settings.data_dir)), timeout=60, check=False, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "broken" in done.stdout + done.stderr
        assert REPAIR in done.stdout + done.stderr
        assert ("sound" in done.stdout) is (code == 0)


def test_a_registration_s_name_never_says_that_a_version_of_the_damaged_family_cannot_be_given(
    client: Client, settings: Settings, registry: Registry, write_version: WriteVersion
) -> None:
    registry.registrations.register("models", str(write_version("v1.1.0", model="sentiment-fusion")))
    json_of(client.post("/api/versions", json={**FIELDS, "model_version": "v1.1.0", "status": "deployed", "note": "x"}))
    version = "/api/models/models/versions/v1.1.0"
    assert client.get(f"{version}/model").status_code == 200
    for path in (settings.data_dir / "lifecycle" / "sentiment-fusion" / "current").glob("index-*.json"):
        path.write_bytes(b"{")
    served = Client(create_app(open_registry(settings), settings))
    for what in ("model", "normalizer"):
        assert REPAIR in json_of(served.get(f"{version}/{what}"), 500)["detail"]
    assert REPAIR in json_of(served.post(f"{version}/predict", json={"rows": [{}]}), 500)["detail"]
    assert json_of(served.get(version))["payload_ready"] is False
