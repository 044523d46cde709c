"""Training runs over HTTP: their XGBoost model handed out with its features and scaler, predicted with, or refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from werkzeug.test import Client

from mm_core.api import create_app
from mm_core.client import PayloadClient
from mm_core.registry import Registry
from mm_core.settings import Settings
from mm_core.wiring import open_registry
from tests.api.answers import check_described, json_of
from tests.api.conftest import RunningServer, register
from tests.api.test_lifecycle import FIELDS
from tests.artifacts.runs.training import (
    FEATURES,
    RUN,
    THRESHOLD,
    about,
    trained,
    write_trained_run,
)
from tests.asking import http

NAME = "walk-forward"
VERSIONS = f"/api/models/{NAME}/versions"
PULL = f"{VERSIONS}/{RUN}/model"
PREDICT = f"{VERSIONS}/{RUN}/predict"


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    """A registry whose predictors leave nothing behind."""
    registry = open_registry(settings)
    yield registry
    registry.predictions.close()


WriteAndRegister = Callable[..., Path]


@pytest.fixture
def held(registry: Registry, tmp_path: Path) -> WriteAndRegister:
    """Write a run and register its root."""

    def write(**more: Any) -> Path:
        directory = write_trained_run(tmp_path / NAME, **more)
        registry.registrations.register(NAME, str(tmp_path / NAME))
        return directory

    return write


def _enlist(client: Client, status: str = "deployed", expected: int = 200, **more: Any) -> dict[str, Any]:
    body = {
        **FIELDS, "model_name": NAME, "model_version": RUN, "model_type": "xgboost", "status": status,
        "note": "because", "actor": "ann", **more,
    }  # fmt: skip
    return json_of(client.post("/api/versions", json=body), expected)


def test_a_booster_loaded_from_the_payload_predicts_what_the_original_predicts_to_the_last_bit(
    client: Client, held: WriteAndRegister
) -> None:
    held()
    document = json_of(client.get(PULL))
    check_described(document, "VersionPayload")
    payload = document["payload"]
    assert (payload["model_format"], payload["warnings"]) == ("xgboost-json", [])
    assert payload["feature_names"] == payload["normalizer"]["feature_names"] == list(FEATURES)
    booster = xgboost.Booster()
    booster.load_model(bytearray(payload["model"].encode()))
    model = trained()
    scaled = (model.rows - np.array(payload["normalizer"]["mean"])) / np.array(payload["normalizer"]["std"])
    predicted = booster.predict(xgboost.DMatrix(scaled, feature_names=payload["feature_names"]))
    assert predicted.tobytes() == model.expected.tobytes()


def test_the_metadata_of_a_runs_payload_says_what_the_training_said_of_the_model(
    client: Client, held: WriteAndRegister
) -> None:
    directory = held(metadata=about(classes=["DOWN", "UP"]))
    payload = json_of(client.get(PULL))["payload"]
    text = payload["model"].encode()
    assert payload["metadata"].items() >= {
        "model_name": NAME,
        "model_version": RUN,
        "version_id": RUN,
        "layout": "runs",
        "model_sha256": hashlib.sha256(text).hexdigest(),
        "model_size_bytes": len(text),
        "model_path": str(directory / "xgboost_model.pkl"),
        "objective": "binary:logistic",
        "num_features": 4,
        "classes": ["DOWN", "UP"],
        "model_type": "gradient_boosting",
        "training_date": "2025-07-24T16:02:11+00:00",
        "validation_accuracy": 0.61,
        "run_model": "xgboost",
        "prediction_threshold": THRESHOLD,
        "performance_metrics": {"accuracy": 0.61, "sharpe_ratio": 1.2},
        "ensemble_weight": 1.0,
    }.items()  # fmt: skip


def test_a_run_is_pulled_on_condition_compressed_and_kept_as_every_payload_is(
    client: Client, held: WriteAndRegister, settings: Settings
) -> None:
    directory = held()
    plain = client.get(PULL, headers={"Accept-Encoding": "identity"})
    digest = hashlib.sha256(plain.data).hexdigest()
    packed = client.get(PULL, headers={"Accept-Encoding": "gzip"})
    assert (plain.headers["ETag"], packed.headers["ETag"]) == (f'"{digest}"', f'"{digest}-gz"')
    assert gzip.decompress(packed.data) == plain.data
    assert (plain.headers["Vary"], plain.headers["Cache-Control"]) == ("Accept-Encoding", "no-cache")
    assert client.get(PULL, headers={"If-None-Match": f'"{digest}"'}).status_code == 304
    shutil.rmtree(settings.data_dir / "blobs")
    again = Client(create_app(open_registry(settings), settings))
    assert again.get(PULL, headers={"Accept-Encoding": "identity"}).data == plain.data
    shutil.rmtree(settings.data_dir / "blobs")
    directory.parent.rename(directory.parent.with_name("real"))
    directory.parent.symlink_to("real")
    behind_a_link = Client(create_app(open_registry(settings), settings))
    assert behind_a_link.get(PULL, headers={"Accept-Encoding": "identity"}).data == plain.data
    shutil.rmtree(settings.data_dir / "blobs")
    (directory / "xgboost_model.pkl").write_bytes(pickle.dumps(trained(False).classifier))
    changed = json_of(Client(create_app(open_registry(settings), settings)).get(PULL), 503)
    assert "no longer kept" in changed["detail"]
    assert "xgboost_model.pkl" in changed["detail"]


def test_a_cleanup_keeps_the_models_and_payloads_of_runs(
    client: Client, held: WriteAndRegister, registry: Registry, settings: Settings
) -> None:
    held()
    before = client.get(PULL).data
    kept = {path for path in (settings.data_dir / "blobs").rglob("*") if path.is_file()}
    plan = registry.housekeeping.plan_cleanup(0)
    registry.housekeeping.execute(plan)
    assert {path for path in (settings.data_dir / "blobs").rglob("*") if path.is_file()} == kept
    assert client.get(PULL).data == before


def test_everything_about_a_run_is_told_and_described(client: Client, held: WriteAndRegister) -> None:
    held()
    (item,) = json_of(client.get(VERSIONS))["items"]
    assert (item["payload_ready"], item["model_format"]) == (True, "xgboost-json")
    document = json_of(client.get(f"{VERSIONS}/{RUN}"))
    check_described(document, "HeldVersion")
    assert document["booster"]["objective"] == "binary:logistic"
    assert sum(document["booster"]["splits"]) > 0
    assert document["normalizer"]["mean"] == list(trained().scaler.mean_)
    assert document["run"]["prediction_threshold"] == THRESHOLD


@pytest.mark.parametrize("with_names", [True, False])
def test_rows_are_predicted_as_the_classifier_of_the_run_does(
    client: Client, held: WriteAndRegister, with_names: bool
) -> None:
    model = trained(with_names)
    held(model=model, metadata=about(classes=["DOWN", "UP"], feature_names=list(FEATURES)))
    _enlist(client)
    document = json_of(client.post(PREDICT, json={"rows": model.row_documents}))
    check_described(document, "VersionPrediction")
    assert (document["kind"], document["threshold"], document["classes"]) == ("binary", THRESHOLD, ["DOWN", "UP"])
    assert (document["counts"], len(document["predictions"])) == (True, 40)
    for prediction, share in zip(document["predictions"], model.expected.tolist(), strict=True):
        assert prediction["probabilities"]["UP"] == share, "float32 as it is"
        assert prediction["class_name"] == ("UP" if share > THRESHOLD else "DOWN")
        assert prediction["confidence"] == pytest.approx(min(1.0, abs(share - THRESHOLD) * 2), abs=1e-12)
        assert prediction["signal"] == ("BULLISH" if share > THRESHOLD else "BEARISH")
    problem = json_of(client.post(PREDICT, json={"rows": [{"spread": 1.0}]}), 400)
    assert problem["missing"] == ["momentum_5d", "volatility_20d", "volume"]


def test_what_is_kept_of_a_runs_model_and_damaged_is_made_again_from_its_pickle(
    client: Client, held: WriteAndRegister, settings: Settings
) -> None:
    held()
    _enlist(client)
    (blob,) = [path for path in (settings.data_dir / "blobs" / "models").rglob("*") if path.is_file()]
    whole = blob.read_bytes()
    blob.write_bytes(bytes(len(whole)))
    json_of(client.post(PREDICT, json={"rows": trained().row_documents}))
    assert blob.read_bytes() == whole


def test_three_classes_of_a_run_are_predicted_with_their_probabilities(client: Client, held: WriteAndRegister) -> None:
    model = trained()
    labels = np.digitize(model.scaler.transform(model._given(model.rows))[:, 0], [-0.5, 0.5])
    classifier = xgboost.XGBClassifier(n_estimators=4, max_depth=2, n_jobs=1).fit(
        model._given(model.scaler.transform(model._given(model.rows))), labels
    )
    held(xgboost_model_pkl=pickle.dumps(classifier), metadata=about(classes=["DOWN", "NEUTRAL", "UP"]))
    _enlist(client)
    document = json_of(client.post(PREDICT, json={"rows": model.row_documents}))
    shares = classifier.predict_proba(model._given(model.scaler.transform(model._given(model.rows))))
    assert (document["kind"], document["threshold"]) == ("multiclass", None)
    for prediction, expected in zip(document["predictions"], shares.tolist(), strict=True):
        assert list(prediction["probabilities"].values()) == expected
        assert prediction["class_name"] == ("DOWN", "NEUTRAL", "UP")[int(np.argmax(expected))]


def test_a_run_without_a_scaler_gives_null_and_predicts_rows_as_they_are_with_a_warning(
    client: Client, held: WriteAndRegister
) -> None:
    held(scalers_pkl=None)
    payload = json_of(client.get(PULL))["payload"]
    assert payload["normalizer"] is None
    assert "its features go into the model as they are" in payload["warnings"][0]
    _enlist(client)
    model = trained()
    document = json_of(client.post(PREDICT, json={"rows": model.row_documents}))
    raw = model.classifier.predict_proba(model._given(model.rows))[:, 1]
    assert [one["probabilities"]["1"] for one in document["predictions"]] == raw.tolist()
    assert document["warnings"] == payload["warnings"]


def test_a_scaler_that_cannot_be_read_gives_null_and_nothing_is_predicted_or_deployed(
    client: Client, held: WriteAndRegister
) -> None:
    held(scalers_pkl=pickle.dumps({"lstm": trained().scaler}))
    payload = json_of(client.get(PULL))["payload"]
    assert payload["normalizer"] is None
    assert "scalers.pkl" in payload["warnings"][0]
    problem = _enlist(client, expected=422)
    assert (problem["code"], "'lstm'" in problem["problems"][0]) == ("NORMALIZER_INVALID", True)
    _enlist(client, force=True)
    problem = json_of(client.post(PREDICT, json={"rows": trained().row_documents}), 422)
    assert (problem["code"], "'lstm'" in problem["problems"][0]) == ("NORMALIZER_INVALID", True)


def test_a_run_that_bots_can_be_given_nothing_of_is_not_deployed_and_says_why_and_what_next(
    client: Client, held: WriteAndRegister
) -> None:
    held(xgboost_model_pkl=None, cnn_model_pt=b"torch")
    problem = _enlist(client, expected=409)
    assert problem["code"] == "CANNOT_PREDICT"
    assert "cnn (torch-pt)" in problem["detail"]
    assert "lstm (keras-h5)" in problem["detail"]
    assert "Publish an XGBoost model with the run" in problem["problems"][0]
    _enlist(client, "validated")
    moved = {"status": "deployed", "note": "because", "actor": "ann"}
    assert json_of(client.post(f"{VERSIONS}/{RUN}/status", json=moved), 409)["problems"] == problem["problems"]
    _enlist(client, update=True, force=True)
    answer = json_of(client.post(PREDICT, json={"rows": [{}]}), 409)
    assert (answer["code"], answer["problems"]) == ("CANNOT_PREDICT", problem["problems"])
    assert json_of(client.get(PULL), 409)["problems"] == problem["problems"]


def test_a_run_with_two_models_is_409_that_names_them_until_its_metadata_says_which(
    client: Client, held: WriteAndRegister, registry: Registry
) -> None:
    directory = held(small_model_pkl=pickle.dumps(trained().classifier))
    problem = json_of(client.get(PULL), 409)
    assert problem["code"] == "AMBIGUOUS_MODEL"
    assert "'small', 'xgboost'" in problem["detail"]
    assert "served_model" in problem["detail"]
    check_described(problem, "Problem")
    refused = _enlist(client, expected=409)
    assert (refused["code"], refused["problems"]) == ("AMBIGUOUS_MODEL", problem["problems"])
    _enlist(client, force=True)
    assert json_of(client.post(PREDICT, json={"rows": [{}]}), 409)["code"] == "AMBIGUOUS_MODEL"
    (directory / "training_metadata.json").write_text(json.dumps(about(served_model="small")))
    registry.registrations.refresh(NAME)
    assert json_of(client.get(PULL))["payload"]["metadata"]["run_model"] == "small"
    assert json_of(client.post(PREDICT, json={"rows": trained().row_documents}))["counts"] is True


@pytest.mark.parametrize("threshold", [1.7, -3, 10**30])
def test_a_threshold_beyond_a_probability_is_told_and_ends_no_request(
    client: Client, held: WriteAndRegister, threshold: float
) -> None:
    held(metadata=about(prediction_threshold=threshold))
    assert json_of(client.get(PULL))["payload"]["metadata"]["prediction_threshold"] is None
    assert "prediction_threshold" in json_of(client.get(f"{VERSIONS}/{RUN}"))["findings"][0]["detail"]
    _enlist(client)
    assert json_of(client.post(PREDICT, json={"rows": trained().row_documents}))["threshold"] == 0.5


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("__import__('os').mkdir('pickle-ran')",)


@pytest.mark.parametrize("file", ["xgboost_model_pkl", "scalers_pkl"])
def test_a_hostile_pickle_in_a_run_is_a_finding_and_nothing_of_the_run_is_given(
    client: Client, held: WriteAndRegister, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    held(**{file: pickle.dumps(_Bomb())})
    problem = json_of(client.get(PULL), 409)
    assert "eval" in problem["problems"][0]
    assert _enlist(client, expected=409)["code"] == "CANNOT_PREDICT"
    assert not (tmp_path / "pickle-ran").exists()


def test_a_bot_pulls_the_deployed_run_and_predicts_what_the_training_predicted_on_a_real_server(
    start_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = start_server()
    write_trained_run(tmp_path / NAME)
    register(server, tmp_path / NAME, NAME)
    body = {**FIELDS, "model_name": NAME, "model_version": RUN, "model_type": "xgboost", "status": "deployed"}
    assert http.post(server.url + "/api/versions", json={**body, "note": "x", "actor": "ann"}).status_code == 200
    model = trained()
    with PayloadClient(server.url, tmp_path / "cache", attempts=2, max_wait=0.1) as bot:
        payload = bot.deployed(NAME)
        assert (payload.version, payload.model_format, payload.threshold) == (RUN, "xgboost-json", THRESHOLD)
        booster = xgboost.Booster()
        booster.load_model(bytearray(payload.model, "utf-8"))
        rows = np.array([payload.normalize(row) for row in model.row_documents])
        predicted = booster.predict(xgboost.DMatrix(rows, feature_names=list(payload.feature_names)))
        assert predicted.tobytes() == model.expected.tobytes()
        assert server.stop() == 0
        assert bot.deployed(NAME).stale


def test_a_run_without_a_scaler_has_no_normalizer_to_edit_and_is_given_all_the_same(
    client: Client, held: WriteAndRegister
) -> None:
    held(scalers_pkl=None)
    problem = json_of(client.get(f"{VERSIONS}/{RUN}/normalizer"), 404)
    assert (problem["code"], problem["title"]) == ("NORMALIZER_NOT_FOUND", "Version without a normalizer")
    assert "taken as they are" in problem["detail"]
    assert json_of(client.get(f"{VERSIONS}/{RUN}"))["payload_ready"] is True
