"""What people set for versions, over HTTP: on condition, with every problem, in the payload and in what predicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightgbm
import pytest
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.api.negotiation import if_match_allows
from mm_core.client import PayloadClient
from mm_core.domain.configs import FILES_DIGEST
from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from mm_core.wiring import open_registry
from tests.api.answers import check_described, json_of
from tests.api.conftest import RunningServer
from tests.api.test_lifecycle import FIELDS, NAME
from tests.api.test_version_payloads import PULL, VERSIONS
from tests.artifacts.versions.conftest import FEATURES, WriteVersion, lightgbm_booster, metadata, write_version
from tests.asking import http

__all__ = ["lightgbm_booster", "write_version"]

NORMALIZER = f"{VERSIONS}/v1.1.0/normalizer"


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    """A registry whose predictors leave nothing behind."""
    registry = open_registry(settings)
    yield registry
    registry.predictions.close()


@pytest.fixture
def held(client: Client, registry: Registry, write_version: WriteVersion) -> Client:
    """A root with v1.1.0: every mean 0.5, every std 2."""
    registry.registrations.register("models", str(write_version()))
    return client


def _document(**changed: tuple[float, float]) -> dict[str, Any]:
    values = [changed.get(name, (0.5, 4.0)) for name in FEATURES]
    return {"v1.1.0": {"mean_values": [mean for mean, _ in values], "variance_values": [each for _, each in values]}}


def test_a_version_shows_what_its_files_say_until_somebody_sets_something(held: Client) -> None:
    answer = held.get(NORMALIZER)
    document = json_of(answer)
    check_described(document, "FactorConfig")
    assert document == {
        "v1.1.0": {"factor_names": list(FEATURES), "mean_values": [0.5] * 4, "variance_values": [4.0] * 4}
    }
    assert answer.headers["x-factor-config-revision"] == "0"
    assert held.get(NORMALIZER, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert json_of(held.get(f"{VERSIONS}/1.1.0/normalizer")) == document


def test_what_is_put_is_in_the_payload_under_another_etag_and_no_file_changes(
    held: Client, tmp_path: Path, tree_digest: Callable[[Path], str]
) -> None:
    files, before = tree_digest(tmp_path / "root"), held.get(PULL)
    answer = held.put(NORMALIZER, json=_document(spread=(7.0, 6.25)))
    assert json_of(answer)["v1.1.0"]["mean_values"] == [0.5, 0.5, 7.0, 0.5]
    assert answer.headers["x-factor-config-revision"] == "1"
    assert answer.headers["ETag"] == held.get(NORMALIZER, headers={"Accept-Encoding": "identity"}).headers["ETag"]
    after = held.get(PULL, headers={"If-None-Match": before.headers["ETag"]})
    payload = json_of(after)["payload"]
    check_described(after.json, "VersionPayload")
    assert payload["model"] == before.json["payload"]["model"]
    assert payload["normalizer"]["mean"] == [0.5, 0.5, 7.0, 0.5]
    assert payload["normalizer"]["std"] == [2.0, 2.0, 2.5, 2.0]
    assert (payload["metadata"]["normalizer_revision"], payload["metadata"]["normalizer_overridden"]) == (1, ["spread"])
    shown = json_of(held.get(f"{VERSIONS}/v1.1.0"))
    check_described(shown, "HeldVersion")
    assert (shown["normalizer"]["mean"], shown["normalizer_overrides"]["features"]) == ([0.5] * 4, ["spread"])
    assert tree_digest(tmp_path / "root") == files
    json_of(held.put(NORMALIZER, json=_document()))
    again = held.get(PULL).json["payload"]
    assert (again["normalizer"], again["metadata"]["normalizer_revision"]) == (before.json["payload"]["normalizer"], 2)


def test_a_put_on_condition_is_412_where_somebody_was_faster(held: Client) -> None:
    tag = held.get(NORMALIZER, headers={"Accept-Encoding": "identity"}).headers["ETag"]
    json_of(held.put(NORMALIZER, json=_document(spread=(7.0, 4.0)), headers={"If-Match": tag}))
    problem = json_of(held.put(NORMALIZER, json=_document(volume=(8.0, 4.0)), headers={"If-Match": tag}), 412)
    assert "it is at revision 1" in problem["detail"]
    assert json_of(held.get(NORMALIZER))["v1.1.0"]["mean_values"] == [0.5, 0.5, 7.0, 0.5]


def _trained_anew(registry: Registry, root: Path) -> None:
    new = {name: {"mean": 1.5, "std": 0.1} for name in FEATURES}
    (root / NAME / "v1.1.0" / "normalizer.json").write_text(json.dumps(new))
    registry.registrations.refresh("models")


def test_a_put_on_condition_is_412_where_files_are_replaced_between_the_condition_and_the_change(
    held: Client, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = held.get(NORMALIZER, headers={"Accept-Encoding": "identity"}).headers["ETag"]

    def slowly(condition: str | None, digest: str) -> bool:
        _trained_anew(registry, tmp_path / "root")
        return if_match_allows(condition, digest)

    monkeypatch.setattr("mm_core.api.config_answers.if_match_allows", slowly)
    problem = json_of(held.put(NORMALIZER, json=_document(spread=(7.0, 4.0)), headers={"If-Match": tag}), 412)
    assert "files were replaced" in problem["detail"]
    assert held.get(NORMALIZER).headers["x-factor-config-revision"] == "0"


def test_a_document_of_the_command_line_can_be_put_while_the_files_are_those_it_was_read_from(
    held: Client, registry: Registry, tmp_path: Path
) -> None:
    document = _document(spread=(7.0, 4.0))
    document["v1.1.0"][FILES_DIGEST] = registry.normalizers.get(NAME, "v1.1.0").config.defaults.digest
    check_described(document, "FactorConfig")
    check_described(json_of(held.put(NORMALIZER, json=document)), "FactorConfig")
    _trained_anew(registry, tmp_path / "root")
    assert "files were replaced" in json_of(held.put(NORMALIZER, json=document), 412)["detail"]


def test_a_put_with_problems_lists_all_of_them_and_stores_nothing(held: Client) -> None:
    document = _document(spread=(7.0, 0.0), volume=(1.0, -1.0))
    document["v1.1.0"]["factor_names"] = ["momentum_5d", "spread", "volatility_20d", "volume"]
    problems = json_of(held.put(NORMALIZER, json=document), 400)["problems"]
    assert [problem.split(" is ")[0] for problem in problems] == [
        "factor_names[1]", "factor_names[2]", "variance_values[2] (spread)", "variance_values[3] (volume)"
    ]  # fmt: skip
    assert held.get(NORMALIZER).headers["x-factor-config-revision"] == "0"


def test_versions_that_are_not_there_or_not_seen_have_no_normalizer(held: Client) -> None:
    assert json_of(held.get(f"{VERSIONS}/v9.0.0/normalizer"), 404)["code"] == "MODEL_NOT_FOUND"
    assert json_of(held.put(f"{VERSIONS}/v9.0.0/normalizer", json=_document()), 404)["code"] == "MODEL_NOT_FOUND"
    json_of(held.post("/api/versions", json={**FIELDS, "model_version": "v1.1.0", "tier_requirement": "enterprise"}))
    json_of(held.get(f"{NORMALIZER}?caller_tier=free"), 404)
    json_of(held.get(f"{NORMALIZER}?caller_tier=enterprise"))


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({"normalizer_json": None, "model_txt": None}, 409, "MODEL_FILE_MISSING"),
        ({"normalizer_json": {name: {"mean": "x", "std": 1} for name in FEATURES}}, 422, "NORMALIZER_INVALID"),
        ({"model_txt": "tree\nversion=v4\n"}, 409, "CANNOT_PREDICT"),
        ({"metadata_json": metadata("v1.1.0", classes=["DOWN", "DOWN", "UP"])}, 409, "CANNOT_PREDICT"),
    ],
)
def test_a_version_is_refused_everywhere_in_the_same_words(
    client: Client, registry: Registry, write_version: WriteVersion, files: dict[str, Any], status: int, code: str
) -> None:
    registry.registrations.register("models", str(write_version(**files)))
    payload = json_of(client.get(f"{VERSIONS}/v1.1.0/model"), status)
    json_of(client.post("/api/versions", json={**FIELDS, "model_version": "v1.1.0", "status": "validated"}))
    move = {"status": "deployed", "note": "because"}
    moved = json_of(client.post(f"{VERSIONS}/v1.1.0/status", json=move), status)
    assert "force it with a note; nothing was changed" in moved["detail"]
    json_of(client.post(f"{VERSIONS}/v1.1.0/status", json={**move, "force": True}))
    asked = json_of(client.post(f"{VERSIONS}/v1.1.0/predict", json={"rows": [dict.fromkeys(FEATURES, 0.5)]}), status)
    refused = [payload, moved, asked]
    if "normalizer_json" in files:
        refused.append(json_of(client.get(NORMALIZER), status))
    else:
        assert json_of(client.get(NORMALIZER))["v1.1.0"]["mean_values"] == [0.5] * 4, "it is whole, and can be edited"
    for problem in refused:
        assert (problem["code"], problem["problems"]) == (code, payload["problems"])


def test_a_put_needs_the_token_and_the_media_type(
    held: Client, registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    guarded = load_settings(
        {
            "MODEL_MANAGER_DATA_DIR": str(tmp_path / "data"),
            "MODEL_MANAGER_WRITE_TOKEN": "secret",
        }
    )
    client = Client(create_app(registry, guarded))
    json_of(client.put(NORMALIZER, json=_document(spread=(7.0, 4.0))), 401)
    json_of(held.put(NORMALIZER, data=json.dumps(_document()), headers={"Content-Type": "text/plain"}), 415)
    assert held.get(NORMALIZER).headers["x-factor-config-revision"] == "0"


def test_what_is_deployed_says_how_often_its_normalizer_was_changed(held: Client) -> None:
    json_of(
        held.post("/api/versions", json={**FIELDS, "model_version": "v1.1.0", "status": "deployed", "note": "for bots"})
    )
    first = held.get(f"/api/models/{NAME}/deployed")
    json_of(held.put(NORMALIZER, json=_document(spread=(7.0, 4.0))))
    second = held.get(f"/api/models/{NAME}/deployed", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.json["normalizer_revision"], json_of(second)["normalizer_revision"]) == (0, 1)
    check_described(second.json, "DeployedVersion")


def test_predictions_follow_what_is_put(held: Client, lightgbm_booster: lightgbm.Booster) -> None:
    json_of(
        held.post("/api/versions", json={**FIELDS, "model_version": "v1.1.0", "status": "deployed", "note": "for bots"})
    )
    json_of(held.put(NORMALIZER, json=_document(spread=(-7.0, 0.25))))
    row = dict.fromkeys(FEATURES, 1.25)
    (said,) = json_of(held.post(f"{VERSIONS}/v1.1.0/predict", json={"rows": [row]}))["predictions"]
    (expected,) = lightgbm_booster.predict([[0.375, 0.375, 16.5, 0.375]])
    assert list(said["probabilities"].values()) == pytest.approx(list(expected), abs=1e-12)


def test_a_bot_never_gets_a_stale_normalizer_from_a_real_server_and_checks_what_it_gets(
    start_server: Callable[..., RunningServer], write_version: WriteVersion, tmp_path: Path
) -> None:
    server = start_server()
    body = {"model_name": "models", "root_path": str(write_version())}
    assert http.post(server.url + "/api/models", json=body).status_code == 200
    fields = {**FIELDS, "model_version": "v1.1.0", "status": "deployed", "note": "for bots"}
    assert http.post(server.url + "/api/versions", json=fields).status_code == 200
    client = PayloadClient(server.url, tmp_path / "copies")
    tags = {client.version(NAME, "v1.1.0").etag}
    for number in range(1, 11):
        saved = http.put(server.url + NORMALIZER, json=_document(spread=(float(number), 4.0 * number)))
        assert saved.status_code == 200
        payload = client.version(NAME, client.deployed(NAME).version)
        assert (payload.mean_values[2], payload.std_values[2]) == (float(number), (4.0 * number) ** 0.5)
        assert (payload.metadata["normalizer_revision"], payload.stale) == (number, False)
        tags.add(payload.etag)
    assert len(tags) == 11
