"""Version directories over HTTP: listed, looked at, pulled on condition, refused with the reason."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import lightgbm
import numpy as np
import pytest
from backports import zstd
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.client import PayloadClient, PayloadNotFound
from mm_core.registry import Registry, prepared_bodies, publishing
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.version_payloads import VersionPayloads
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.api.answers import check_described, json_of
from tests.api.conftest import RunningServer, register
from tests.artifacts.versions.conftest import (
    CLASSES,
    FEATURES,
    WriteVersion,
    lightgbm_booster,
    metadata,
    write_version,
)
from tests.asking import http
from tests.registry.test_lifecycle import FIELDS, NAME
from tests.waiting import wait_until

__all__ = ["lightgbm_booster", "write_version"]

VERSIONS = f"/api/models/{NAME}/versions"
PULL = f"{VERSIONS}/v1.1.0/model"


def _register(client: Client, version: str, status: str = "validated", **fields: Any) -> None:
    about = {"model_version": version, "status": status, "note": "because", **fields}
    json_of(client.post("/api/versions", json={**FIELDS, **about}))


@pytest.fixture
def held(client: Client, registry: Registry, write_version: WriteVersion) -> Client:
    """A root with v1.1.0, registered as ``models``."""
    registry.registrations.register("models", str(write_version()))
    return client


def test_the_payload_is_the_model_that_was_dropped_with_its_features_and_normalizer(
    held: Client, tmp_path: Path, lightgbm_booster: lightgbm.Booster
) -> None:
    document = json_of(held.get(PULL))
    payload = document["payload"]
    dropped = (tmp_path / "root" / NAME / "v1.1.0" / "model.txt").read_bytes()
    assert (document["ok"], payload["model_format"]) == (True, "lightgbm-text")
    assert payload["model"].encode() == dropped
    assert payload["metadata"]["model_sha256"] == hashlib.sha256(dropped).hexdigest()
    assert (payload["metadata"]["model_name"], payload["metadata"]["model_version"]) == (NAME, "v1.1.0")
    assert payload["metadata"]["classes"] == list(CLASSES)
    assert payload["feature_names"] == payload["normalizer"]["feature_names"] == list(FEATURES)
    assert (payload["normalizer"]["mean"], payload["normalizer"]["std"]) == ([0.5] * 4, [2.0] * 4)
    rows = np.random.default_rng(1).normal(size=(20, 4))
    pulled = lightgbm.Booster(model_str=payload["model"])
    assert pulled.predict(rows).tobytes() == lightgbm_booster.predict(rows).tobytes()
    check_described(document, "VersionPayload")


def test_a_normalizer_in_another_order_than_the_model_is_never_given(
    client: Client, registry: Registry, write_version: WriteVersion
) -> None:
    turned = {"feature_names": FEATURES[::-1], "mean": [3.0, 2.0, 1.0, 0.0], "std": [8.0, 4.0, 2.0, 1.0]}
    registry.registrations.register("models", str(write_version(normalizer_json=turned)))
    assert "not those of the booster in their order" in json_of(client.get(PULL), 422)["problems"][0]


def test_a_pull_is_conditional_compressed_and_named_by_the_digest_of_its_content(held: Client) -> None:
    plain = held.get(PULL, headers={"Accept-Encoding": "identity"})
    digest = hashlib.sha256(plain.data).hexdigest()
    bodies = {"identity": plain.data}
    for coding, suffix, decompress in (("gzip", "-gz", gzip.decompress), ("zstd", "-zst", zstd.decompress)):
        answer = held.get(PULL, headers={"Accept-Encoding": coding})
        assert (answer.headers["ETag"], answer.headers["Content-Encoding"]) == (f'"{digest}{suffix}"', coding)
        assert decompress(answer.data) == plain.data
        bodies[coding] = answer.data
    assert plain.headers["ETag"] == f'"{digest}"'
    for coding, body in bodies.items():
        whole = held.get(PULL, headers={"Accept-Encoding": coding})
        headers = {"Accept-Encoding": coding, "If-None-Match": whole.headers["ETag"]}
        same = held.get(PULL, headers=headers)
        assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", whole.headers["ETag"])
        head = held.head(PULL, headers={"Accept-Encoding": coding})
        assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(body)))
        assert (whole.headers["Vary"], whole.headers["Cache-Control"]) == ("Accept-Encoding", "no-cache")
    assert held.get(PULL, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_payload_is_compressed_once_however_often_and_by_whomever_it_is_pulled(
    held: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed: list[str] = []
    compress = prepared_bodies.compress

    def noted(data: bytes, coding: Any) -> bytes:
        compressed.append(str(coding))
        return compress(data, coding)

    monkeypatch.setattr(prepared_bodies, "compress", noted)
    for client in (held, Client(create_app(open_registry(settings), settings))):
        for version in ("v1.1.0", "1.1.0"):
            for coding in ("gzip", "zstd", "identity"):
                answer = client.get(f"{VERSIONS}/{version}/model", headers={"Accept-Encoding": coding})
                assert answer.status_code == 200
    assert sorted(compressed) == ["gzip", "zstd"]


def test_everything_about_a_version_is_told_and_described(held: Client) -> None:
    _register(held, "1.1.0")
    document = json_of(held.get(f"{VERSIONS}/1.1.0"))
    check_described(document, "HeldVersion")
    assert (document["payload_ready"], document["model_format"], document["layout"]) == (
        True,
        "lightgbm-text",
        "versions",
    )
    assert document["record"]["status"] == "validated"
    assert document["booster"]["num_class"] == 3
    assert document["metadata"]["classes"] == list(CLASSES)
    assert document["evaluation"]["accuracy"] == 0.65
    assert set(document["importance"]) == set(FEATURES)
    assert {one["role"] for one in document["artifacts"]} == {
        "model_txt", "normalizer_json", "metadata_json", "feature_importance_csv", "test_evaluation_json"
    }  # fmt: skip
    assert document["findings"] == []
    assert held.head(f"{VERSIONS}/1.1.0").status_code == 200


def test_the_list_has_the_newest_first_what_is_held_and_what_is_registered(
    held: Client, registry: Registry, write_version: WriteVersion
) -> None:
    newer = metadata("v1.2.0", training_date="2026-01-01T00:00:00")
    write_version("v1.2.0", metadata_json=newer)
    registry.registrations.refresh("models")
    _register(held, "v1.1.0", "deployed")
    shutil.rmtree(Path(registry.model("models")[0].root_path) / NAME / "v1.1.0")
    registry.registrations.refresh("models")
    document = json_of(held.get(VERSIONS))
    check_described(document, "HeldVersionList")
    told = [(one["model_version"], one["payload_ready"], one["record"] is not None) for one in document["items"]]
    assert sorted(told) == [("v1.1.0", False, True), ("v1.2.0", True, False)]
    assert json_of(held.get("/api/models/models/versions"))["items"][0]["model_name"] == NAME
    problem = json_of(held.get(PULL), 409)
    assert problem["code"] == "MODEL_FILE_MISSING"
    expected = Path(registry.model("models")[0].root_path) / NAME / "v1.1.0"
    assert problem["problems"] == [
        f"{expected / file} is missing." for file in ("model.txt", "normalizer.json", "metadata.json")
    ]
    assert f"Expected '{expected}'. Missing: model.txt, normalizer.json, metadata.json." in problem["detail"]


def test_two_versions_are_listed_by_their_training(
    held: Client, registry: Registry, write_version: WriteVersion
) -> None:
    write_version("v1.0.0", metadata_json=metadata("v1.0.0", training_date="2026-01-01T00:00:00"))
    registry.registrations.refresh("models")
    assert [one["model_version"] for one in json_of(held.get(VERSIONS))["items"]] == ["v1.0.0", "v1.1.0"]


def test_a_registrations_name_stands_for_all_versions_of_its_root_and_an_alias_for_its_family(
    held: Client, registry: Registry, write_version: WriteVersion
) -> None:
    write_version("v1.0.0", model="early-signal")
    registry.registrations.refresh("models")
    items = json_of(held.get("/api/models/models/versions"))["items"]
    assert {(one["model_name"], one["model_version"]) for one in items} == {
        (NAME, "v1.1.0"),
        ("early-signal", "v1.0.0"),
    }
    assert held.get("/api/models/models/versions/v1.0.0/model").status_code == 200
    assert held.get("/api/models/early-signal-detection/versions/v1.0.0/model").status_code == 404
    json_of(held.post("/api/versions", json={**FIELDS, "model_name": "early-signal", "model_version": "v1.0.0"}))
    registry.lifecycle.set_alias("early-signal", "early-signal-detection", Author("ann", "because"))
    payload = json_of(held.get("/api/models/early-signal-detection/versions/v1.0.0/model"))["payload"]
    assert payload["metadata"]["model_name"] == "early-signal"
    assert set(payload["metadata"]["names"]) == {"early-signal", "early-signal-detection", "models"}


def test_callers_see_and_pull_what_is_for_their_tier(held: Client) -> None:
    _register(held, "v1.1.0", tier_requirement="enterprise")
    for path in (PULL, f"{VERSIONS}/v1.1.0"):
        assert held.get(f"{path}?caller_tier=enterprise").status_code == 200
        assert json_of(held.get(f"{path}?caller_tier=premium"), 404)["code"] == "MODEL_NOT_FOUND"
        assert json_of(held.get(f"{path}?caller_tier=gold"), 400)["detail"].startswith("?caller_tier=")
    assert json_of(held.get(f"{VERSIONS}?caller_tier=premium"))["items"] == []
    assert len(json_of(held.get(VERSIONS))["items"]) == 1


@pytest.mark.parametrize(
    ("files", "status", "code", "named"),
    [
        ({"normalizer_json": None}, 409, "MODEL_FILE_MISSING", "normalizer.json"),
        ({"model_txt": None}, 409, "MODEL_FILE_MISSING", "model.txt"),
        ({"model_txt": "tree\nversion=v4\n"}, 409, "CANNOT_PREDICT", "model.txt"),
        ({"normalizer_json": {"momentum_5d": {"mean": "x", "std": 1}}}, 422, "NORMALIZER_INVALID", "normalizer.json"),
        ({"normalizer_json": {"a": 1}, "model_txt": None}, 409, "MODEL_FILE_MISSING", "model.txt"),
    ],
)
def test_a_version_with_errors_is_listed_and_not_given_with_every_reason(
    client: Client,
    registry: Registry,
    write_version: WriteVersion,
    files: dict[str, Any],
    status: int,
    code: str,
    named: str,
) -> None:
    registry.registrations.register("models", str(write_version(**files)))
    problem = json_of(client.get(PULL), status)
    assert problem["code"] == code
    assert any(named in one for one in problem["problems"])
    assert problem["problems"][0].split(": ", 1)[1][:70] in problem["detail"]
    (item,) = json_of(client.get(VERSIONS))["items"]
    assert item["payload_ready"] is False
    assert any(named in one for one in item["warnings"])


def test_a_version_in_two_directories_is_not_given_and_both_are_named(
    client: Client, registry: Registry, write_version: WriteVersion
) -> None:
    write_version("1.1.0")
    root = write_version("v1.1.0")
    registry.registrations.register("models", str(root))
    for path in (PULL, f"{VERSIONS}/v1.1.0"):
        problem = json_of(client.get(path), 409)
        assert problem["code"] == "AMBIGUOUS_VERSION"
        assert problem["problems"] == [str(root / NAME / version) for version in ("1.1.0", "v1.1.0")]
    assert [one["payload_ready"] for one in json_of(client.get(VERSIONS))["items"]] == [False, False]


def test_a_root_that_is_registered_twice_holds_its_versions_once(held: Client, tmp_path: Path) -> None:
    body = {"model_name": "again", "root_path": str(tmp_path / "root")}
    assert held.post("/api/models", json=body).status_code == 200
    assert len(json_of(held.get(VERSIONS))["items"]) == 1
    assert held.get(PULL).status_code == 200


def test_the_same_model_below_two_roots_is_told_of_both_versions_wherever_they_are_shown(
    held: Client, registry: Registry, write_version: WriteVersion, tmp_path: Path
) -> None:
    (tmp_path / "root").rename(tmp_path / "first")
    json_of(held.delete("/api/models/models"))
    second = write_version("v1.0.0", model="early-signal", metadata_json=metadata("v1.0.0"))
    for name, root in (("a", tmp_path / "first"), ("b", second), ("again", second)):
        registry.registrations.register(name, str(root))
    places = {NAME: tmp_path / "first" / NAME / "v1.1.0", "early-signal": second / "early-signal" / "v1.0.0"}
    for model, other in ((NAME, "early-signal"), ("early-signal", NAME)):
        (item,) = json_of(held.get(f"/api/models/{model}/versions"))["items"]
        said = f"{model}/{item['version_id']}/model.txt: '{places[other]}' has the same model, byte for byte."
        (warning,) = item["warnings"]
        assert warning.startswith(said)
        assert item["payload_ready"], "a warning keeps nobody from it"
        (finding,) = json_of(held.get(f"/api/models/{model}/versions/{item['version_id']}"))["findings"]
        assert (finding["code"], finding["severity"]) == ("duplicate-model-file", "warning")
        (known,) = [one for one in registry.versions() if one.family == model]
        assert [one.code for one in known.findings] == ["duplicate-model-file"]
        fields = {**FIELDS, "model_name": model, "model_version": item["version_id"]}
        assert any(one.startswith(said) for one in json_of(held.post("/api/versions", json=fields))["warnings"])
    registry.registrations.delete("a")
    (item,) = json_of(held.get("/api/models/early-signal/versions"))["items"]
    assert item["warnings"] == [], "one directory that two registrations reach shares nothing with itself"


def test_a_training_run_is_listed_and_looked_at_and_has_no_payload(
    client: Client, registry: Registry, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "20250724_150837"
    run.mkdir(parents=True)
    (run / "lstm_model.h5").write_bytes(b"never loaded")
    (run / "training_metadata.json").write_text('{"performance_metrics": {"lstm": {"sharpe_ratio": NaN}}}')
    registry.registrations.register("runs", str(tmp_path / "runs"))
    (item,) = json_of(client.get("/api/models/runs/versions"))["items"]
    assert (item["layout"], item["payload_ready"], item["model_name"]) == ("runs", False, "runs")
    document = json_of(client.get("/api/models/runs/versions/20250724_150837"))
    check_described(document, "HeldVersion")
    assert document["run"]["performance_metrics"] == {"lstm": {"sharpe_ratio": None}}
    problem = json_of(client.get("/api/models/runs/versions/20250724_150837/model"), 409)
    assert "None of the run's models can be given to bots: 'lstm (keras-h5)'" in problem["detail"]
    assert problem["code"] == "CANNOT_PREDICT"


@pytest.mark.parametrize("path", ["/api/models/unknown/versions", f"{VERSIONS}/v9.9.9", f"{VERSIONS}/latest/model"])
def test_what_is_unknown_is_404_with_a_sentence(held: Client, path: str) -> None:
    assert json_of(held.get(path), 404)["detail"].endswith(".")
    assert held.post(path).status_code == 405


def test_a_new_training_is_another_payload_and_a_lost_blob_is_made_again_from_the_file(
    held: Client, registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    before = held.get(PULL)
    file = tmp_path / "root" / NAME / "v1.1.0" / "normalizer.json"
    file.write_text(json.dumps({name: {"mean": 1.0, "std": 3.0} for name in FEATURES}))
    registry.registrations.refresh("models")
    after = held.get(PULL)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert json_of(after)["payload"]["normalizer"]["std"] == [3.0] * 4
    shutil.rmtree(settings.data_dir / "blobs")
    again = Client(create_app(open_registry(settings), settings))
    assert again.get(PULL).data == after.data


def test_a_lost_blob_is_made_again_where_the_root_became_a_link(
    held: Client, settings: Settings, tmp_path: Path
) -> None:
    before = held.get(PULL)
    (tmp_path / "root").rename(tmp_path / "real")
    shutil.rmtree(settings.data_dir / "blobs")
    again = Client(create_app(open_registry(settings), settings))
    assert "does not exist" in json_of(again.get(PULL), 503)["detail"]
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert again.get(PULL).data == before.data


def test_lost_bytes_of_a_model_that_changed_since_are_never_replaced_by_others(
    held: Client, settings: Settings, tmp_path: Path
) -> None:
    shutil.rmtree(settings.data_dir / "blobs")
    model = tmp_path / "root" / NAME / "v1.1.0" / "model.txt"
    model.write_text(model.read_text() + "\n")
    problem = json_of(held.get(PULL), 503)
    assert "no longer kept" in problem["detail"]


def test_a_payload_that_changes_while_it_is_read_is_503_and_the_next_answer_is_the_new_one(
    held: Client, registry: Registry, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = registry.version_payloads.handle(NAME, "v1.1.0")
    file = tmp_path / "root" / NAME / "v1.1.0" / "normalizer.json"
    file.write_text(json.dumps({name: {"mean": 1.0, "std": 3.0} for name in FEATURES}))
    registry.registrations.refresh("models")
    shutil.rmtree(settings.data_dir / "blobs")
    with monkeypatch.context() as between:
        between.setattr(VersionPayloads, "handle", lambda *_: before)
        answer = held.get(PULL)
    assert "Ask again" in json_of(answer, 503)["detail"]
    assert answer.headers["Retry-After"] == "1"
    assert json_of(held.get(PULL))["payload"]["normalizer"]["std"] == [3.0] * 4


def test_a_cleanup_keeps_the_payloads_of_todays_versions_and_nothing_of_earlier_ones(
    held: Client, registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    def kept() -> set[str]:
        return {path.name for path in (settings.data_dir / "blobs" / "payloads").rglob("*") if path.is_file()}

    held.get(PULL)
    first = kept()
    file = tmp_path / "root" / NAME / "v1.1.0" / "normalizer.json"
    file.write_text(json.dumps({name: {"mean": 1.0, "std": 3.0} for name in FEATURES}))
    registry.registrations.refresh("models")
    held.get(PULL)
    second = kept() - first
    for path in (settings.data_dir / "blobs").rglob("*"):
        os.utime(path, (1, 1))
    registry.housekeeping.execute(registry.housekeeping.plan_cleanup())
    assert len(first) == len(second) == 3
    assert kept() == second
    assert held.get(PULL).status_code == 200


def test_payloads_of_versions_that_run_are_made_before_a_bot_asks(
    held: Client, registry: Registry, write_version: WriteVersion, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(publishing, "VERSIONS_PAUSE_SECONDS", 0.01)
    write_version("v1.2.0")
    registry.registrations.refresh("models")
    _register(held, "v1.1.0", "deployed")
    payloads = settings.data_dir / "blobs" / "payloads"
    registry.publisher.start()
    try:
        wait_until(lambda: len(list(payloads.rglob("*.json"))) == 1)
    finally:
        registry.publisher.stop()
    (note,) = payloads.rglob("*.json")
    assert json.loads(note.read_bytes())["symbol"] == "v1.1.0"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_bot_pulls_what_is_deployed_and_notices_a_promotion_on_a_real_server(
    start_server: Callable[..., RunningServer], write_version: WriteVersion, tmp_path: Path, workers: str
) -> None:
    server = start_server(WORKERS=workers)
    write_version("v1.2.0", normalizer_json={name: {"mean": 1.0, "std": 3.0} for name in FEATURES})
    register(server, write_version(), "models")
    for version in ("v1.1.0", "v1.2.0"):
        body = {**FIELDS, "model_version": version, "status": "validated"}
        assert http.post(server.url + "/api/versions", json=body).status_code == 200

    def promote(version: str) -> None:
        body = {"status": "deployed", "note": "better", "actor": "ann"}
        assert http.post(f"{server.url}{VERSIONS}/{version}/status", json=body).status_code == 200

    with PayloadClient(server.url, tmp_path / "cache", attempts=2, max_wait=0.1) as bot:
        with pytest.raises(PayloadNotFound, match="no version of sentiment-fusion is deployed"):
            bot.deployed(NAME)
        promote("v1.1.0")
        first = bot.deployed(NAME)
        assert (first.version, first.std_values, first.stale) == ("v1.1.0", (2.0,) * 4, False)
        promote("v1.2.0")
        second = bot.deployed(NAME)
        assert (second.version, second.std_values, second.stale) == ("v1.2.0", (3.0,) * 4, False)
        assert bot.version(NAME, "1.1.0").etag == first.etag
        with httpx.Client(base_url=server.url) as raw:
            pulled = raw.get(f"{VERSIONS}/v1.2.0/model")
            tag = {"If-None-Match": pulled.headers["ETag"]}
            assert raw.get(f"{VERSIONS}/v1.2.0/model", headers=tag).status_code == 304
            assert raw.head(f"{VERSIONS}/v1.2.0/model").headers["ETag"] == pulled.headers["ETag"]
        assert server.stop() == 0
        stale = bot.deployed(NAME)
        assert (stale.version, stale.stale, stale.model) == ("v1.2.0", True, second.model)
